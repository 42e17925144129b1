"""The rate card: what shipments and short units cost. Used by the file job's report, after all decisions are made.

The one place in engine/ where money meets floats: a card's fees per kilometre may be fractions and distances are not
whole, and the figure must agree to the unit with others who compute the same formula in doubles and round once. It is
a report; no decision, no journal record and no customer's bill rests on it.
"""

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.intake.tables import IntakeError
from engine.state import State
from kernels.cheapest import Fees

EARTH_RADIUS_KM = 6371.0088  # mean radius
FEE_MAX = 1_000_000_000_000  # minor units: far above any tariff, far below where doubles lose whole units


def kilometres(
    latitude: ArrayLike, longitude: ArrayLike, node_latitude: ArrayLike, node_longitude: ArrayLike
) -> NDArray[np.float64]:
    """Great-circle distances in km, not rounded, of places to nodes; all in degrees, of shapes that broadcast.

    Source: the haversine formula, mean Earth radius 6371.0088 km.
    """
    phi, at, node_phi, node_at = (np.radians(x) for x in (latitude, longitude, node_latitude, node_longitude))
    half = np.sin((node_phi - phi) / 2) ** 2 + np.cos(phi) * np.cos(node_phi) * np.sin((node_at - at) / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return distance


def kilometres_to_nodes(state: State, code: NDArray[np.integer]) -> NDArray[np.float64]:
    """[code, node] from postal codes to all nodes of a state."""
    places, at, nodes = state.postal_codes, state.nodes, state.node_count
    return kilometres(
        places.latitude_e7[code, None] / 1e7, places.longitude_e7[code, None] / 1e7, at.latitude_e7[:nodes] / 1e7,
        at.longitude_e7[:nodes] / 1e7,
    )  # fmt: skip


@dataclass(frozen=True)
class RateCard:
    """Fees in minor units of one currency, those per km in units a km. A file with these keys and no others.

    A shipment is all units of one order that leave one node together. It costs
    shipment_fee + fee_per_km * km + units * (handling_fee + fee_per_unit_km * km); a short unit costs shortage_penalty.
    """

    shipment_fee: float
    fee_per_km: float
    handling_fee: float
    fee_per_unit_km: float
    shortage_penalty: float
    balance_fee: float = 0.0  # these two may be left out: engine/stock_fees.py
    age_fee_per_day: float = 0.0

    @classmethod
    def read(cls, path: str | Path) -> "RateCard":
        """The card of a TOML file. Raises IntakeError, naming the key, for all that is not five fees of 0 or more."""
        try:
            card = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise IntakeError(f"{path}: there is no such file") from None
        except OSError as error:
            raise IntakeError(f"{path}: cannot be read ({error.strerror})") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise IntakeError(f"{path}: not a TOML file in UTF-8 ({error})") from None
        names = [field.name for field in fields(cls)]
        card = {field.name: field.default for field in fields(cls) if field.default is not MISSING} | card
        for name in card:
            if name not in names:
                raise IntakeError(f"{path}: unknown key {name!r}; a rate card has {', '.join(names)}")
        for name in names:
            _check_fee(path, name, card)
        return cls(**{name: float(card[name]) for name in names})

    def costs_over(self, kilometres: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a shipment over each distance costs, and each unit of it."""
        return self.shipment_fee + self.fee_per_km * kilometres, self.handling_fee + self.fee_per_unit_km * kilometres

    def bill(self, kilometres: NDArray[np.float64], units: NDArray[np.integer], short_units: int) -> dict[str, float]:
        """What each fee of the card comes to, in minor units, not rounded: they add up to the cost."""
        return {
            "shipment_fee": self.shipment_fee * kilometres.size,
            "fee_per_km": self.fee_per_km * float(kilometres.sum()),
            "handling_fee": self.handling_fee * int(units.sum()),
            "fee_per_unit_km": self.fee_per_unit_km * float((units * kilometres).sum()),
            "shortage_penalty": self.shortage_penalty * short_units,
        }

    def cost(self, kilometres: NDArray[np.float64], units: NDArray[np.integer], short_units: int) -> int:
        """Minor units of all shipments and short units, rounded once. kilometres (not rounded), units [shipment]."""
        shipment, unit = self.costs_over(kilometres)
        return round(float((shipment + units * unit).sum()) + short_units * self.shortage_penalty)


def _check_fee(path: str | Path, name: str, card: dict[str, object]) -> None:
    if name not in card:
        raise IntakeError(f"{path}: key {name!r} is missing; add it, in minor currency units")
    fee = card[name]
    if isinstance(fee, bool) or not isinstance(fee, int | float) or not 0 <= fee <= FEE_MAX:
        raise IntakeError(
            f"{path}: {name} is {fee!r}; it must be a number from 0 to {FEE_MAX}, in minor currency units"
        )


def fees_of(card: RateCard) -> Fees:
    """The card by the metre, as kernels take it."""
    return Fees(card.shipment_fee, card.fee_per_km / 1000, card.handling_fee, card.fee_per_unit_km / 1000)
