"""A simulated SMS gateway: Kannel's sendsms and its delivery reports, with faults. Import it from here."""

from simulators.sms_gateway.faults import Faults, Reply, Timing
from simulators.sms_gateway.server import Arrival, SmsGatewaySimulator

__all__ = ["Arrival", "Faults", "Reply", "SmsGatewaySimulator", "Timing"]
