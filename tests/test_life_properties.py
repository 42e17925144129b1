"""Random steps of the life of orders, in any sequence: the books stay balanced, stock is conserved, nobody is paid back
what he did not pay, and an order's amounts sum to what it was placed for.

After each commit `Life.check` looks at everything by routes of its own; at random points the folder is opened again.
The steps are drawn by a seed, likely ones more often, so that orders get far.
"""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.commands import Retire
from engine.lifecycle import ENGINE_STEPS, STEP_RULES, Action
from engine.outcomes import MovementKind, Reply
from kernels.columns import NO_NODE, NONE
from kernels.life import (
    Account,
    Condition,
    Disposition,
    DocumentKind,
    PaymentFlag,
    PayMethod,
    ReturnFlag,
    ReturnKind,
    Step,
)
from tests import asks
from tests.driving import COMPILED, SECOND, columns
from tests.living import KEEP, WAITS, A, B, Life, X, Y, command, priced_order, row

METHODS = ["", "CARD", "CARD", "UPI", "CASH_ON_DELIVERY", "CHANNEL"]
CAN = [0, PaymentFlag.PARTS, PaymentFlag.PARTS | PaymentFlag.SEVERAL]
KINDS = [ReturnKind.RETURN, ReturnKind.RETURN, ReturnKind.CLAIM, ReturnKind.EXCHANGE]
OF_KIND = {
    kind: [step for step in Step if step // 16 + 1 == kind and step not in ENGINE_STEPS] for kind in DocumentKind
}


class Lives:
    """Orders with prices, and what becomes of them by chance."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = Random(seed)
        self.life = Life(folder, units=30)
        self.orders: list[tuple[str, int, int]] = []  # id, channel, lines
        self.documents: dict[DocumentKind, list[tuple[str, int]]] = {kind: [] for kind in DocumentKind}
        self.of_number: dict[int, tuple[str, int]] = {}
        self.replies: Counter[tuple[Step, Reply]] = Counter()

    def run(self, steps: int) -> Counter[tuple[Step, Reply]]:
        """So many steps; what came of those of documents."""
        for _ in range(4):
            self.place()
        doing = [
            self.place, self.pay, self.pay, self.advance_a_payment, self.advance_a_payment, self.advance_a_refund,
            self.ask_for_a_refund, self.send, self.send, self.scan, self.scan, self.scan, self.scan_by_number,
            self.ask_for_a_return, self.ask_for_a_return, self.advance_a_return, self.advance_a_return,
            self.advance_a_return, self.act, self.stock, self.rarely, self.together, self.together,
        ]  # fmt: skip
        for _ in range(steps):
            self.chance.choice(doing)()
        self.life.close()
        return self.replies

    def place(self) -> None:
        chance, order = self.chance, f"order-{len(self.orders)}"
        lines = [
            (chance.choice([X, Y]), chance.randint(1, 4), chance.randint(0, 999)) for _ in range(chance.randint(1, 3))
        ]
        goods, channel = sum(units * price for _, units, price in lines), chance.choice([KEEP, WAITS])
        asked = priced_order(
            order, *lines, channel=channel, method=chance.choice(METHODS), tax=chance.randint(0, 200),
            fee=chance.randint(0, 500), fee_tax=chance.randint(0, 90), discount=min(chance.randint(0, 300), goods),
            pay_by=self.life.stamp + 30 * SECOND if chance.random() < 0.1 else 0,
        )  # fmt: skip
        answers = self.life.commit(asked)
        self.orders.append((order, channel, len(lines)))
        self.of_number[int(answers[0].number[0])] = order, channel

    def take(self, *rows: dict[str, Any]) -> None:
        """Steps under one request."""
        answers = self.life.steps(*rows)
        for asked, reply in zip(rows, answers.reply.tolist(), strict=True):
            step = Step(asked["step"])
            self.replies[step, Reply(reply)] += 1
            kind, named = DocumentKind(step // 16 + 1), (asked["document_id"], asked["channel"])
            if step % 16 == 0 and step != Step.ASK_REFUND and reply == Reply.DONE and named not in self.documents[kind]:
                self.documents[kind].append(named)

    def an_order(self) -> tuple[str, int, int]:
        return self.chance.choice(self.orders[-6:])

    def new(self, kind: DocumentKind) -> str:
        """An id, now and then one that was used."""
        return f"{kind.name}-{len(self.documents[kind]) - (self.chance.random() < 0.1)}"

    def a_document(self, kind: DocumentKind) -> tuple[str, int]:
        return self.chance.choice(self.documents[kind][-6:])

    def pay(self) -> None:
        order, channel, _ = self.an_order()
        method = self.chance.choice([*PayMethod][:5])
        flags = method | self.chance.choice(CAN) | PaymentFlag.TO_SOURCE
        amount, payment = self.chance.choice([0, 0, 0, 100]), self.new(DocumentKind.PAYMENT)
        self.take(row(Step.PAY, payment, order=order, channel=channel, amount=amount, flags=flags, how="gateway"))
        if self.chance.random() < 0.7:
            step = Step.CAPTURE if method is PayMethod.UPI else Step.AUTHORISE
            self.take(row(step, payment, channel=channel))

    def advance_a_payment(self) -> None:
        if self.documents[DocumentKind.PAYMENT]:
            payment, channel = self.a_document(DocumentKind.PAYMENT)
            step = self.chance.choice([Step.AUTHORISE, Step.CAPTURE, Step.CAPTURE, *OF_KIND[DocumentKind.PAYMENT][1:]])
            reference = self.chance.choice(["", "", f"pay-{self.chance.randint(0, 9)}"])
            how = "gateway" if reference else ""
            amount = self.chance.choice([0, 0, 0, 50])
            self.take(row(step, payment, channel=channel, amount=amount, reference=reference, how=how))

    def advance_a_refund(self) -> None:
        refunds = [refund for refund in self.life.refunds() if self.life.order_of(refund[0]) in self.of_number]
        if refunds:
            step = self.chance.choice([Step.REFUND, Step.REFUND, Step.REFUND_FAILED, Step.RETRY_REFUND])
            number, *_ = self.chance.choice(refunds)
            order, channel = self.of_number[self.life.order_of(number)]
            self.take(row(step, "", order=order, channel=channel, number=number))

    def ask_for_a_refund(self) -> None:
        order, channel, _ = self.an_order()
        amount, to = self.chance.randint(1, 200), self.chance.randint(0, 2)
        self.take(row(Step.ASK_REFUND, "", order=order, channel=channel, amount=amount, flags=to))

    def send(self) -> None:
        order, channel, lines = self.an_order()
        line, units = self.chance.choice([0, 0, self.chance.randint(1, lines)]), self.chance.choice([0, 0, 1, 2])
        node, packed = self.chance.choice([A, A, A, B]), int(self.chance.random() < 0.1)
        named = self.new(DocumentKind.SHIPMENT)
        self.take(row(Step.SEND, named, order=order, channel=channel, node=node, line=line, units=units, flags=packed))
        if self.chance.random() < 0.5:
            self.take(row(Step.SHIP, named, channel=channel), row(Step.DELIVER, named, channel=channel))

    def scan(self) -> None:
        if self.documents[DocumentKind.SHIPMENT]:
            shipment, channel = self.a_document(DocumentKind.SHIPMENT)
            steps = [Step.SHIP, Step.DELIVER, Step.DELIVER, *OF_KIND[DocumentKind.SHIPMENT][1:]]
            self.take(
                *(
                    row(step, shipment, channel=channel, how="carrier",
                        flags=self.chance.randint(0, 2) if step is Step.COME_HOME else 0,
                        reference=f"awb-{self.chance.randint(0, 99)}" if step is Step.BOOK or at else "")
                    for at, step in enumerate(self.chance.choices(steps, k=self.chance.randint(1, 3)))
                )
            )  # fmt: skip

    def scan_by_number(self) -> None:
        """As carriers do, who know no ids."""
        step = self.chance.choice([Step.SHIP, Step.DELIVER, *OF_KIND[DocumentKind.SHIPMENT][1:]])
        self.take(row(step, "", channel=NONE, reference=f"awb-{self.chance.randint(0, 99)}", how="carrier"))

    def together(self) -> None:
        """Several commands in one commit, of one order or of others: each upon what those before it came to."""
        chance, commands = self.chance, []
        order, channel, lines = self.an_order()
        for _ in range(chance.randint(2, 4)):
            what = chance.randint(0, 3)
            if what == 0:
                action = chance.choice([Action.CANCEL, Action.CANCEL, Action.SHORT_PICK, Action.PICK])
                line, units = chance.randint(0, lines), chance.randint(0, 2)
                commands.append(self.life.acting(order, action, units, line, channel))
            elif what == 1 and self.documents[DocumentKind.SHIPMENT]:
                named, of_channel = self.a_document(DocumentKind.SHIPMENT)
                step = chance.choice([Step.SHIP, Step.DELIVER, Step.COME_HOME, Step.RECALL])
                commands.append(command(self.life.new(), [row(step, named, channel=of_channel)]))
            elif what == 2 and self.documents[DocumentKind.PAYMENT]:
                named, of_channel = self.a_document(DocumentKind.PAYMENT)
                step = chance.choice([Step.CAPTURE, Step.LAPSE, Step.AUTHORISE, Step.CAPTURE_FAILED])
                commands.append(command(self.life.new(), [row(step, named, channel=of_channel)]))
            elif self.documents[DocumentKind.RETURN]:
                named, of_channel = self.a_document(DocumentKind.RETURN)
                step = chance.choice([Step.APPROVE, Step.RECEIVE, Step.INSPECT])
                commands.append(command(self.life.new(), [row(step, named, channel=of_channel)]))
        self.life.commit(*commands, after=SECOND if chance.random() < 0.9 else 40 * SECOND)

    def ask_for_a_return(self) -> None:
        (order, channel, lines), kind = self.an_order(), self.chance.choice(KINDS)
        delivered = [at for at in self.life.delivered() if at in self.of_number]
        if delivered and self.chance.random() < 0.8:
            (order, channel), lines = self.of_number[self.chance.choice(delivered)], 2
        flags = kind | self.chance.choice([*Condition]) << 4 | self.chance.choice([0, 0, ReturnFlag.AS_CREDIT])
        line, units = self.chance.randint(1, lines), self.chance.choice([1, 1, 2])
        named = self.new(DocumentKind.RETURN)
        self.take(row(Step.ASK_RETURN, named, order=order, channel=channel, line=line, units=units, flags=flags))
        for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
            if self.chance.random() < 0.7:
                self.take(row(step, named, channel=channel))

    def advance_a_return(self) -> None:
        if self.documents[DocumentKind.RETURN]:
            named, channel = self.a_document(DocumentKind.RETURN)
            step = self.chance.choice([Step.RECEIVE, Step.INSPECT, Step.INSPECT, *OF_KIND[DocumentKind.RETURN][1:]])
            units, node = self.chance.choice([0, 0, 1]), self.chance.choice([A, B, NO_NODE])
            flags = self.chance.choice([*Disposition])
            self.take(row(step, named, channel=channel, units=units, node=node, flags=flags))

    def act(self) -> None:
        order, channel, lines = self.an_order()
        action = self.chance.choice([Action.CANCEL, Action.PICK, Action.PACK, *Action])
        node = self.chance.choice([NO_NODE, A, B])
        self.life.act(order, action, self.chance.randint(0, 2), self.chance.randint(0, lines), node, channel)

    def stock(self) -> None:
        kind = self.chance.choice([MovementKind.RECEIVED, MovementKind.RECEIVED, MovementKind.COUNTED])
        cell = self.chance.choice([X, Y]), self.chance.choice([A, B])
        asked = asks.Stock(self.life.new(), ((*cell, kind, self.chance.randint(0, 20)),))
        self.life.commit(columns(asked, []))

    def rarely(self) -> None:
        what = self.chance.randint(0, 5)
        if what == 0:
            self.life.commit(Retire(self.life.stamp - 20 * SECOND))
        elif what == 1:
            self.life.commit(after=40 * SECOND)
        elif what == 2:
            self.life.reopen(snapshot=self.chance.random() < 0.5)


def run(seeds: range, steps: int, folder: Path) -> Counter[tuple[Step, Reply]]:
    """All seeds; the seed that fails is told by its folder's name."""
    replies: Counter[tuple[Step, Reply]] = Counter()
    for seed in seeds:
        replies += Lives(seed, folder / f"seed-{seed}").run(steps)
    return replies


def test_any_steps_in_any_sequence_keep_the_books_balanced_and_the_stock_conserved(tmp_path: Path) -> None:
    replies = run(range(16) if COMPILED else range(3), 250, tmp_path)
    if COMPILED:  # it got everywhere
        assert {step for step, reply in replies if reply is Reply.DONE} == set(STEP_RULES) - set(ENGINE_STEPS)


@pytest.mark.soak
def test_the_same_at_length(tmp_path: Path) -> None:
    run(range(100, 2_000), 400, tmp_path)


def test_an_order_that_went_every_way_sums_to_what_it_was_placed_for() -> None:
    """Partial cancel, two shipments, a lost one, returns unit by unit: whatever the sequence, to the minor unit."""
    for turn in range(6):
        life = Life(units=30)
        life.place("o", (X, 7, 1_000), (Y, 5, 333), method="CARD", tax=55, fee=101, fee_tax=7, discount=97)
        total = 7 * 1_055 + 5 * 388 + 108 - 97
        life.steps(row(Step.PAY, "p", order="o", flags=PayMethod.CARD | PaymentFlag.TO_SOURCE, how="gateway"))
        life.step(Step.CAPTURE, "p")
        assert life.captured() == total
        life.act("o", Action.CANCEL, 1 + turn % 3, line=1)
        life.step(Step.SEND, "s1", order="o", node=A, line=1, units=2)
        life.step(Step.SEND, "s2", order="o", node=A, line=2, units=4)
        life.step(Step.SEND, "s3", order="o", node=A)
        for shipment in ("s1", "s2", "s3") if turn % 2 else ("s3", "s1", "s2"):
            life.step(Step.SHIP, shipment)
        life.step(Step.LOSE, "s1")
        life.step(Step.COME_HOME, "s3", node=B)
        life.step(Step.DELIVER, "s2")
        for unit in range(4):
            asked = row(Step.ASK_RETURN, f"r{unit}", order="o", line=2, units=1, flags=Condition.UNUSED << 4)
            assert Reply(int(life.steps(asked).reply[0])) is Reply.DONE
            for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT):
                life.step(step, f"r{unit}")
        given_back = sum(amount for _, amount, _ in life.refunds())
        kept = int(life.state.book.money.kept[0])
        assert given_back + kept == total
        assert life.balances() == {Account.GATEWAY: total, Account.REFUNDS: -given_back, **shipping_kept(life, kept)}
        life.close()


def shipping_kept(life: Life, kept: int) -> dict[Account, int]:
    """What the order keeps is its share of the fee, with its tax."""
    held = {
        account: units
        for account, units in life.balances().items()
        if account in (Account.SHIPPING, Account.CGST, Account.SGST)
    }
    assert sum(held.values()) == -kept
    return held
