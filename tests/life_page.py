"""Draws the tables of engine/LIFE.md from the tables that the engine runs by, and a refund from the engine itself.

python -m tests.life_page writes them anew between their marks.
"""

import re
from collections.abc import Callable
from pathlib import Path

from engine.ledger import MEANINGS
from engine.lifecycle import CHANGES, ENGINE_STEPS, NEXT_STATE, STATES, STEP_RULES, TRANSITIONS, Action
from kernels.life import KEEPS_STATE, NOT_ALLOWED, STEPS_PER_KIND, Account, DocumentKind, Step
from tests.living import A, Life, X, ask_return, pay

PAGE = Path(__file__).resolve().parents[1] / "engine" / "LIFE.md"
_BLOCK = re.compile(r"(<!-- (\w+): begin -->\n).*?(<!-- \2: end -->)", re.DOTALL)


def words(name: str) -> str:
    return name.lower().replace("_", " ")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def documents(kind: DocumentKind) -> str:
    """A row a step, a column a state."""
    states = list(STATES[kind])
    rows = []
    for step in Step:
        if step // STEPS_PER_KIND + 1 != kind or step in ENGINE_STEPS:
            continue
        rule, cells = STEP_RULES[step], []
        for state in states:
            to = int(NEXT_STATE[step, state])
            cells.append("" if to == NOT_ALLOWED else "=" if to == KEEPS_STATE else words(type(state)(to).name))
        begins = f" -> {words(rule.target.name)}" if rule.target is not None and not rule.sources else ""
        rows.append([f"`{step.name}`{begins}", *cells])
    return table(["step", *(words(state.name) for state in states)], rows)


def units() -> str:
    """What is done to units by their stage."""
    rows = []
    for action in Action:
        sources, target = TRANSITIONS[action]
        rows.append([f"`{action.name}`", ", ".join(words(stage.name) for stage in sources), words(target.name)])
    return table(["action", "from, the first ones preferred", "to"], rows)


def stock() -> str:
    """What one unit does to the figures of its cell."""
    rows = []
    for (source, target), change in CHANGES.items():
        did = ", ".join(f"{words(name)} {value:+d}" for name, value in change._asdict().items() if value)
        rows.append([words(source.name), words(target.name), did or "nothing"])
    return table(["from", "to", "the node's figures"], rows)


def accounts() -> str:
    """The chart of accounts."""
    return table(["account", "holds"], [[f"`{account.name}`", MEANINGS[account]] for account in Account])


def rupees(paise: int) -> str:
    return f"{'-' if paise < 0 else ''}{abs(paise) // 100:,}.{abs(paise) % 100:02d}" if paise else ""


def refund() -> str:
    """Three units of 333.33 and a fee, 100.00 off, one of them comes back: what each account did, to the paisa."""
    life = Life()
    life.place("o", (X, 3, 33_333), method="CARD", tax=1_500, fee=4_900, fee_tax=245, discount=10_000)
    columns: list[tuple[str, dict[Account, int]]] = []
    before: dict[Account, int] = {}

    def told(what: str, *doing: Callable[[], object]) -> None:
        nonlocal before
        for do in doing:
            do()
        now = life.balances()
        changed = {one: now.get(one, 0) - before.get(one, 0) for one in Account}
        columns.append((what, changed))
        before = now

    life.steps(pay("p", "o"))
    life.step(Step.AUTHORISE, "p")
    life.step(Step.SEND, "s", order="o", node=A)
    told("captured", lambda: life.step(Step.CAPTURE, "p"))
    told("shipped", lambda: life.step(Step.SHIP, "s"))
    life.step(Step.DELIVER, "s")
    life.steps(ask_return("r", "o"))
    told(
        "one came back",
        *(lambda step=step: life.step(step, "r") for step in (Step.APPROVE, Step.RECEIVE, Step.INSPECT)),
    )
    number = life.refunds()[0][0]
    told("given back", lambda: life.step(Step.REFUND, "p", number=number))
    used = [one for one in Account if any(changed[one] for _, changed in columns)]
    rows = [
        [f"`{one.name}`", *(rupees(changed[one]) for _, changed in columns), rupees(before.get(one, 0))] for one in used
    ]
    sums = [rupees(sum(changed.values())) or "0" for _, changed in columns]
    rows.append(["sum", *sums, rupees(sum(before.values())) or "0"])
    life.close()
    return table(["account", *(what for what, _ in columns), "in the end"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "payments": lambda: documents(DocumentKind.PAYMENT),
    "refunds": lambda: documents(DocumentKind.REFUND),
    "shipments": lambda: documents(DocumentKind.SHIPMENT),
    "returns": lambda: documents(DocumentKind.RETURN),
    "units": units,
    "stock": stock,
    "accounts": accounts,
    "refund": refund,
}


def drawn(page: str) -> str:
    """The page with its tables as they are now."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]]()}\n{block[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
