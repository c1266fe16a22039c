"""The air between simulated controllers, with the faults that real air has; bumble brings the link layer."""

from __future__ import annotations

import asyncio
from typing import Any

from bumble import hci, ll
from bumble.controller import Controller
from bumble.hci import Address
from bumble.link import LocalLink


class SimController(Controller):
    """A bumble controller that also honours the cancelling of a connection attempt, as real ones must.

    bumble 0.0.236 answers the cancel command with success but keeps the attempt pending and raises no completion, so that
    every later attempt is refused.
    """

    def on_hci_le_create_connection_cancel_command(self, _command: Any) -> hci.HCI_StatusReturnParameters:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        cancelled = hci.HCI_LE_Connection_Complete_Event(
            status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
            connection_handle=0,
            role=hci.Role.CENTRAL,
            peer_address_type=0,
            peer_address=Address.ANY,
            connection_interval=0,
            peripheral_latency=0,
            supervision_timeout=0,
            central_clock_accuracy=0,
        )
        asyncio.get_running_loop().call_soon(self.send_hci_packet, cancelled)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)


class Air(LocalLink):
    """Who is out of range hears nobody and is heard by nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.out_of_range: set[Controller] = set()
        self.deaf_to_connecting: set[Controller] = set()
        self._held: dict[Controller, list[tuple[Address, Any, bytes]]] = {}

    def send_advertising_pdu(self, sender_controller: Controller, packet: Any) -> None:
        if sender_controller in self.out_of_range:
            return
        if isinstance(packet, ll.ConnectInd):
            loop = asyncio.get_running_loop()
            for other in self.controllers - {sender_controller} - self.out_of_range - self.deaf_to_connecting:
                loop.call_soon(other.on_ll_advertising_pdu, packet)
            return
        super().send_advertising_pdu(sender_controller, packet)

    def send_acl_data(
        self, sender_controller: Controller, destination_address: Address, transport: Any, data: bytes
    ) -> None:
        if sender_controller in self._held:
            self._held[sender_controller].append((destination_address, transport, data))
            return
        receiver = self.find_le_controller(destination_address)
        if receiver is not None and not {sender_controller, receiver} & self.out_of_range:
            super().send_acl_data(sender_controller, destination_address, transport, data)

    def send_ll_control_pdu(self, sender_address: Address, receiver_address: Address, packet: Any) -> None:
        ends = {self.find_le_controller(sender_address), self.find_le_controller(receiver_address)}
        if None not in ends and not ends & self.out_of_range:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    def hold(self, controller: Controller) -> None:
        """What ``controller`` sends is kept by its link layer from here."""
        self._held.setdefault(controller, [])

    def release(self, controller: Controller) -> None:
        """What was kept gets through, all at once."""
        for packet in self._held.pop(controller, []):
            self.send_acl_data(controller, *packet)

    def supervision_timeout(self, controller: Controller) -> None:
        """Both ends of every connection of ``controller`` find that the other has fallen silent."""
        reason = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
        for connection in list(controller.le_connections.values()):
            peer = self.find_le_controller(connection.peer_address)
            if peer is not None:
                for theirs in list(peer.le_connections.values()):
                    if theirs.peer_address == connection.self_address:
                        peer.on_le_disconnected(theirs, reason)
            controller.on_le_disconnected(connection, reason)
