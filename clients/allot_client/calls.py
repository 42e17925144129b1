"""Every call of the contract: its path and the messages that go and come. Both clients make them from here."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from allot.v1 import availability_pb2 as availability
from allot.v1 import catalogue_pb2 as catalogue
from allot.v1 import events_pb2 as events
from allot.v1 import orders_pb2 as orders
from allot.v1 import payments_pb2 as payments
from allot.v1 import promises_pb2 as promises
from allot.v1 import reservations_pb2 as reservations
from allot.v1 import returns_pb2 as returns
from allot.v1 import shipments_pb2 as shipments
from allot.v1 import stock_pb2 as stock

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True)
class Call(Generic[Q, A]):
    """One RPC."""

    name: str  # service and method
    request: type[Q]
    answer: type[A]

    @property
    def path(self) -> str:
        return f"/allot.v1.{self.name}"


PLACE_ORDER = Call("OrderService/PlaceOrder", orders.PlaceOrderRequest, orders.PlaceOrderResponse)
PLACE_ORDERS = Call("OrderService/PlaceOrders", orders.PlaceOrdersRequest, orders.PlaceOrdersResponse)
ALLOCATE_BATCHES = Call("OrderService/AllocateBatches", orders.AllocateBatchesRequest, orders.AllocateBatchesResponse)
CANCEL_ORDER = Call("OrderService/CancelOrder", orders.CancelOrderRequest, orders.CancelOrderResponse)
REALLOCATE_ORDERS = Call(
    "OrderService/ReallocateOrders", orders.ReallocateOrdersRequest, orders.ReallocateOrdersResponse
)
REEVALUATE_ORDERS = Call(
    "OrderService/ReevaluateOrders", orders.ReevaluateOrdersRequest, orders.ReevaluateOrdersResponse
)
GET_ORDER = Call("OrderService/GetOrder", orders.GetOrderRequest, orders.GetOrderResponse)
EXPLAIN_ORDER = Call("OrderService/ExplainOrder", orders.ExplainOrderRequest, orders.ExplainOrderResponse)
LIST_ORDERS = Call("OrderService/ListOrders", orders.ListOrdersRequest, orders.ListOrdersResponse)

RESERVE = Call("ReservationService/Reserve", reservations.ReserveRequest, reservations.ReserveResponse)
CONFIRM = Call("ReservationService/Confirm", reservations.ConfirmRequest, reservations.ConfirmResponse)
RELEASE = Call("ReservationService/Release", reservations.ReleaseRequest, reservations.ReleaseResponse)

PROMISE = Call("PromiseService/Promise", promises.PromiseRequest, promises.PromiseResponse)
PROMISES = Call("PromiseService/Promises", promises.PromisesRequest, promises.PromisesResponse)

RECEIVE_STOCK = Call("StockService/ReceiveStock", stock.ReceiveStockRequest, stock.ReceiveStockResponse)
COUNT_STOCK = Call("StockService/CountStock", stock.CountStockRequest, stock.CountStockResponse)
ADJUST_STOCK = Call("StockService/AdjustStock", stock.AdjustStockRequest, stock.AdjustStockResponse)
GET_STOCK = Call("StockService/GetStock", stock.GetStockRequest, stock.GetStockResponse)
LIST_STOCK = Call("StockService/ListStock", stock.ListStockRequest, stock.ListStockResponse)
PUT_SUPPLY = Call("StockService/PutSupply", stock.PutSupplyRequest, stock.PutSupplyResponse)
LIST_SUPPLY = Call("StockService/ListSupply", stock.ListSupplyRequest, stock.ListSupplyResponse)

GET_AVAILABILITY = Call(
    "AvailabilityService/GetAvailability", availability.GetAvailabilityRequest, availability.GetAvailabilityResponse
)
WATCH_AVAILABILITY = Call(
    "AvailabilityService/WatchAvailability",
    availability.WatchAvailabilityRequest,
    availability.WatchAvailabilityResponse,
)
PULL_AVAILABILITY = Call(
    "AvailabilityService/PullAvailability", availability.PullAvailabilityRequest, availability.PullAvailabilityResponse
)
LIST_CHANNEL_FIGURES = Call(
    "AvailabilityService/ListChannelFigures",
    availability.ListChannelFiguresRequest,
    availability.ListChannelFiguresResponse,
)
STREAM_EVENTS = Call("EventService/StreamEvents", events.StreamEventsRequest, events.StreamEventsResponse)

PUT_NODES = Call("CatalogueService/PutNodes", catalogue.PutNodesRequest, catalogue.PutNodesResponse)
LIST_NODES = Call("CatalogueService/ListNodes", catalogue.ListNodesRequest, catalogue.ListNodesResponse)
PUT_SKUS = Call("CatalogueService/PutSkus", catalogue.PutSkusRequest, catalogue.PutSkusResponse)
LIST_SKUS = Call("CatalogueService/ListSkus", catalogue.ListSkusRequest, catalogue.ListSkusResponse)
PUT_POSTAL_CODES = Call(
    "CatalogueService/PutPostalCodes", catalogue.PutPostalCodesRequest, catalogue.PutPostalCodesResponse
)
PUT_CHANNEL = Call("CatalogueService/PutChannel", catalogue.PutChannelRequest, catalogue.PutChannelResponse)
LIST_CHANNELS = Call("CatalogueService/ListChannels", catalogue.ListChannelsRequest, catalogue.ListChannelsResponse)
PUT_EXCEPTIONS = Call("CatalogueService/PutExceptions", catalogue.PutExceptionsRequest, catalogue.PutExceptionsResponse)
PUT_TAX_REGIONS = Call(
    "CatalogueService/PutTaxRegions", catalogue.PutTaxRegionsRequest, catalogue.PutTaxRegionsResponse
)
PUT_FENCES = Call("CatalogueService/PutFences", catalogue.PutFencesRequest, catalogue.PutFencesResponse)

CREATE_PAYMENT = Call("PaymentService/CreatePayment", payments.CreatePaymentRequest, payments.CreatePaymentResponse)
ADVANCE_PAYMENT = Call("PaymentService/AdvancePayment", payments.AdvancePaymentRequest, payments.AdvancePaymentResponse)
REFUND_ORDER = Call("PaymentService/RefundOrder", payments.RefundOrderRequest, payments.RefundOrderResponse)
ADVANCE_REFUND = Call("PaymentService/AdvanceRefund", payments.AdvanceRefundRequest, payments.AdvanceRefundResponse)
ADVANCE_PAYMENTS = Call(
    "PaymentService/AdvancePayments", payments.AdvancePaymentsRequest, payments.AdvancePaymentsResponse
)
GET_PAYMENT = Call("PaymentService/GetPayment", payments.GetPaymentRequest, payments.GetPaymentResponse)
GET_LEDGER = Call("PaymentService/GetLedger", payments.GetLedgerRequest, payments.GetLedgerResponse)

CREATE_SHIPMENT = Call(
    "ShipmentService/CreateShipment", shipments.CreateShipmentRequest, shipments.CreateShipmentResponse
)
ADVANCE_SHIPMENT = Call(
    "ShipmentService/AdvanceShipment", shipments.AdvanceShipmentRequest, shipments.AdvanceShipmentResponse
)
ADVANCE_SHIPMENTS = Call(
    "ShipmentService/AdvanceShipments", shipments.AdvanceShipmentsRequest, shipments.AdvanceShipmentsResponse
)
ACT_ON_UNITS = Call("ShipmentService/ActOnUnits", shipments.ActOnUnitsRequest, shipments.ActOnUnitsResponse)
GET_SHIPMENT = Call("ShipmentService/GetShipment", shipments.GetShipmentRequest, shipments.GetShipmentResponse)
TRACK_SHIPMENT = Call("ShipmentService/TrackShipment", shipments.TrackShipmentRequest, shipments.TrackShipmentResponse)

CREATE_RETURN = Call("ReturnService/CreateReturn", returns.CreateReturnRequest, returns.CreateReturnResponse)
ADVANCE_RETURN = Call("ReturnService/AdvanceReturn", returns.AdvanceReturnRequest, returns.AdvanceReturnResponse)
ADVANCE_RETURNS = Call("ReturnService/AdvanceReturns", returns.AdvanceReturnsRequest, returns.AdvanceReturnsResponse)
GET_RETURN = Call("ReturnService/GetReturn", returns.GetReturnRequest, returns.GetReturnResponse)
PUT_RETURN_POLICIES = Call(
    "ReturnService/PutReturnPolicies", returns.PutReturnPoliciesRequest, returns.PutReturnPoliciesResponse
)
LIST_RETURN_POLICIES = Call(
    "ReturnService/ListReturnPolicies", returns.ListReturnPoliciesRequest, returns.ListReturnPoliciesResponse
)
