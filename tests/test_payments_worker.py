"""The payments worker before an engine and a gateway that are told what to say: what it calls, and what it does not."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from allot.v1 import events_pb2, life_pb2, payments_pb2, payments_pb2_grpc, types_pb2
from server.asking import Declined, Unreachable
from server.errors import Rejection
from server.gateways.gateway import Asked, Held, StaysOpen
from server.workers.failure import WillNotDo, WorkerError
from server.workers.payments import CLOCKS_DIFFER_US, PaymentsWorker
from tests.framed import Framed, framed

NOW_US = 1_900_000_000_000_000
NEW_US = NOW_US + CLOCKS_DIFFER_US


class Engine(payments_pb2_grpc.PaymentServiceServicer):
    """One payment as it stands, and what was reported of it."""

    def __init__(self) -> None:
        payment = life_pb2.Payment(
            number=1, state=life_pb2.PAYMENT_STATE_PENDING, method=types_pb2.PAYMENT_METHOD_CARD, gateway="razorpay",
            amount=1_000, payment_id="P",
        )  # fmt: skip
        self.found = payments_pb2.GetPaymentResponse(payment=payment, currency="INR", channel="own")
        self.told: list[str] = []
        self.is_silent = False
        self.refusal: tuple[grpc.StatusCode, str] | None = None

    async def GetPayment(self, request: Any, context: Any) -> Any:  # noqa: N802
        await asyncio.sleep(60 if self.is_silent else 0)
        return self.found

    async def AdvancePayment(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._heard(life_pb2.PaymentStep.Name(request.step).removeprefix("PAYMENT_STEP_"), context)
        return payments_pb2.AdvancePaymentResponse()

    async def AdvanceRefund(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._heard(life_pb2.RefundStep.Name(request.step).removeprefix("REFUND_STEP_"), context)
        return payments_pb2.AdvanceRefundResponse()

    async def _heard(self, step: str, context: Any) -> None:
        self.told.append(step)
        if self.refusal is not None:
            await context.abort_with_status(Rejection(*self.refusal, "no").status())


class Gateway:
    """What it was asked, and what it says."""

    def __init__(self) -> None:
        self.name = "razorpay"
        self.calls: list[tuple[str, Any]] = []
        self.says: dict[str, Any] = {
            "open": "order_1", "charge": Held("pay_1", False), "capture": 1_000, "void": True, "refund": True,
        }  # fmt: skip

    def _say(self, call: str, asked: Any) -> Any:
        self.calls.append((call, asked))
        if isinstance(self.says[call], Exception):
            raise self.says[call]
        return self.says[call]

    async def open(self, asked: Asked, key: str) -> Any:
        return self._say("open", asked)

    async def charge(self, asked: Asked, order: str, key: str) -> Any:
        return self._say("charge", asked)

    async def capture(self, reference: str, asked: Asked, key: str) -> Any:
        return self._say("capture", asked)

    async def void(self, reference: str, key: str) -> Any:
        return self._say("void", reference)

    async def refund(self, reference: str, asked: Asked, key: str) -> Any:
        return self._say("refund", asked)


class Worker:
    """The worker around the two."""

    def __init__(self, frame: Framed, engine: Engine) -> None:
        self.engine, self.gateway, self.frame = engine, Gateway(), frame
        self._worker = PaymentsWorker(frame, {}, Path("nowhere"), clock=lambda: NOW_US / 1e6)

    async def reads(self, step: str, at_us: int = NEW_US, **told: Any) -> bool:
        """An event."""
        of = {"kind": "REFUND", "of_number": 1, "number": 7} if "REFUND" in step else {"kind": "PAYMENT", "number": 1}
        taken = events_pb2.StepTaken(step=step, **{"how": self.gateway.name, **of, **told})
        event = events_pb2.Event(event_id="5-1", sequence=5, stamp_us=at_us, step_taken=taken)
        return await self._worker._carry_out(self.gateway, event)

    def stands(self, state: str, **figures: Any) -> None:
        payment = self.engine.found.payment
        payment.state = life_pb2.PaymentState.Value(f"PAYMENT_STATE_{state}")
        for name, value in figures.items():
            setattr(payment, name, value)

    def refund_stands(self, state: str, to: str = "SOURCE") -> None:
        del self.engine.found.refunds[:]
        self.engine.found.refunds.add(
            number=7, amount=300, state=life_pb2.RefundState.Value(f"REFUND_STATE_{state}"),
            to=life_pb2.RefundTo.Value(f"REFUND_TO_{to}"),
        )  # fmt: skip

    @property
    def called(self) -> list[str]:
        return [call for call, _ in self.gateway.calls]


def working(test: Callable[[Worker], Awaitable[None]]) -> None:
    async def within(frame: Framed) -> None:
        server, engine = grpc.aio.server(), Engine()
        payments_pb2_grpc.add_PaymentServiceServicer_to_server(engine, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        there = Framed(f"127.0.0.1:{port}")
        try:
            await test(Worker(there, engine))
        finally:
            await there.channel.close()
            await server.stop(None)

    framed(within)


# What is not called for


def test_a_refund_is_asked_for_once_however_often_its_event_is_read():
    async def test(worker: Worker) -> None:
        for step in ("ASK_REFUND", "RETRY_REFUND"):
            for state in ("DONE", "FAILED"):
                worker.refund_stands(state)
                assert not await worker.reads(step)
            worker.refund_stands("ASKED", "CREDIT")
            assert not await worker.reads(step)
        del worker.engine.found.refunds[:]
        assert not await worker.reads("ASK_REFUND")
        assert (worker.called, worker.engine.told) == ([], [])
        worker.refund_stands("ASKED")
        assert await worker.reads("ASK_REFUND")
        ((_, asked),) = worker.gateway.calls
        assert (asked.amount, asked.notes["allot_refund"], worker.engine.told) == (300, "7", ["DONE"])

    working(test)


def test_a_capture_is_asked_for_while_the_engine_waits_for_it():
    async def test(worker: Worker) -> None:
        for state, capturing in (("CAPTURED", 0), ("AUTHORISED", 0), ("AUTHORISED", 400), ("VOIDED", 0)):
            worker.stands(state, capturing=capturing)
            assert not await worker.reads("ASK_CAPTURE", amount=1_000)
        assert (worker.called, worker.engine.told) == ([], [])
        worker.stands("AUTHORISED", capturing=1_000)
        assert await worker.reads("ASK_CAPTURE", amount=1_000)
        assert (worker.called, worker.engine.told) == (["capture"], ["CAPTURE"])

    working(test)


def test_an_authorisation_is_let_go_of_while_the_engine_waits_for_it():
    async def test(worker: Worker) -> None:
        for state in ("AUTHORISED", "VOIDED", "CAPTURED", "LAPSED"):
            worker.stands(state, authorised=1_000)
            assert not await worker.reads("ASK_VOID")
        assert (worker.called, worker.engine.told) == ([], [])
        worker.stands("VOIDING", authorised=0)
        assert not await worker.reads("ASK_VOID")  # nobody has paid it
        worker.stands("VOIDING", authorised=1_000)
        assert await worker.reads("ASK_VOID")
        assert (worker.called, worker.engine.told) == (["void"], ["VOID", "VOID"])

    working(test)


def test_a_payment_is_opened_once():
    async def test(worker: Worker) -> None:
        for state in ("AUTHORISED", "VOIDED", "FAILED", "CAPTURED"):
            worker.stands(state)
            assert not await worker.reads("PAY")
        worker.stands("PENDING", reference="order_0")
        assert not await worker.reads("PAY")
        assert await worker.reads("PAY", note="token")
        assert worker.called == ["charge"]
        worker.stands("PENDING", reference="")
        assert await worker.reads("PAY")
        assert (worker.called, worker.engine.told) == (["charge", "open"], ["AUTHORISE", "OPEN"])

    working(test)


def test_events_of_others_say_nothing_of_the_gateway():
    async def test(worker: Worker) -> None:
        assert not await worker.reads("PAY", how="stripe")
        assert not await worker.reads("CAPTURE")

    working(test)


# What is asked


def test_what_a_gateway_is_told_of_the_method():
    async def test(worker: Worker) -> None:
        methods = {"CARD": types_pb2.PAYMENT_METHOD_CARD, "UPI": types_pb2.PAYMENT_METHOD_UPI}
        for gateway, method, days in (
            ("razorpay", "CARD", 5), ("razorpay-shop", "CARD", 5), ("stripe-eu", "CARD", 7), ("razorpay", "UPI", 0),
        ):  # fmt: skip
            worker.gateway.name = worker.engine.found.payment.gateway = gateway
            worker.stands("PENDING", method=methods[method])
            await worker.reads("PAY", note="token")
            _, asked = worker.gateway.calls[-1]
            assert (asked.method, asked.held_days, asked.token) == (method, days, "token")

    working(test)


def test_what_may_have_been_asked_before_is_told_as_a_repeat():
    async def test(worker: Worker) -> None:
        async def is_repeat(at_us: int) -> bool:
            await worker.reads("PAY", at_us)
            return bool(worker.gateway.calls[-1][1].is_repeat)

        assert not await is_repeat(NEW_US)
        assert await is_repeat(NEW_US - 1)  # before this worker was there
        worker.gateway.says["open"] = Unreachable("no answer")
        with pytest.raises(WorkerError):
            await worker.reads("PAY", NEW_US)
        worker.gateway.says["open"] = "order_1"
        assert await is_repeat(NEW_US)
        assert not await is_repeat(NEW_US)

    working(test)


def test_a_saved_method_that_only_the_customer_can_charge_leaves_the_payment_open():
    async def test(worker: Worker) -> None:
        worker.gateway.says["charge"] = StaysOpen("he pays the order there")
        assert await worker.reads("PAY", note="token")
        assert worker.engine.told == ["OPEN"]
        assert any(told.get("error") == "he pays the order there" for _, _, told in worker.frame.said.said)
        worker.gateway.says["charge"] = Declined("no money")
        assert await worker.reads("PAY", note="token")
        assert worker.engine.told == ["OPEN", "OPEN", "FAIL"]

    working(test)


def test_where_a_gateway_lets_go_by_itself_somebody_is_told_that_the_money_is_held():
    async def test(worker: Worker) -> None:
        worker.gateway.says["void"] = False
        worker.stands("VOIDING", authorised=1_000, reference="pay_1")
        await worker.reads("ASK_VOID")
        ((text, told),) = [(text, told) for _, text, told in worker.frame.said.said]
        assert "money is held" in text
        assert (told["reference"], worker.engine.told) == ("pay_1", ["VOID"])

    working(test)


# What the engine does not take


@pytest.mark.parametrize(
    ("code", "reason", "wanted"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE", None),  # a webhook was faster
        (grpc.StatusCode.ALREADY_EXISTS, "KEY_CONFLICT", WillNotDo),
        (grpc.StatusCode.FAILED_PRECONDITION, "MORE_THAN_AUTHORISED", WillNotDo),
        (grpc.StatusCode.FAILED_PRECONDITION, "CURRENCY_MISMATCH", WillNotDo),
        (grpc.StatusCode.INVALID_ARGUMENT, "CARD_NUMBER", WillNotDo),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", grpc.RpcError),
        (grpc.StatusCode.PERMISSION_DENIED, "", grpc.RpcError),
    ],
)  # fmt: skip
def test_a_report_that_the_engine_will_not_take_is_not_forgotten(code: Any, reason: str, wanted: Any):
    async def test(worker: Worker) -> None:
        worker.engine.refusal = code, reason
        worker.stands("AUTHORISED", capturing=1_000)
        if wanted is None:
            assert await worker.reads("ASK_CAPTURE", amount=1_000)
            return
        with pytest.raises(wanted) as raised:
            await worker.reads("ASK_CAPTURE", amount=1_000)
        assert getattr(raised.value, "reason", reason) == reason

    working(test)


def test_calls_have_ends():
    async def test(worker: Worker) -> None:
        worker.engine.is_silent = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("server.workers.payments.CALL_SECONDS", 0.2)
            with pytest.raises(grpc.RpcError):
                await worker.reads("PAY")

    working(test)
