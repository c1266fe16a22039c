"""An adapter and a device as BlueZ shows them on a bus. No postponed annotations here: they are the D-Bus signatures."""

from dbus_fast import DBusError
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property


class FakeAdapter(ServiceInterface):
    def __init__(self) -> None:
        super().__init__("org.bluez.Adapter1")
        self.powered, self.blocked, self.removed = True, False, []

    @dbus_property(access=PropertyAccess.READ)
    def Address(self) -> "s":  # noqa: F821, N802
        return "00:11:22:33:44:55"

    @dbus_property(access=PropertyAccess.READ)
    def Discovering(self) -> "b":  # noqa: F821, N802
        return False

    @dbus_property()
    def Powered(self) -> "b":  # noqa: F821, N802
        return self.powered

    @Powered.setter
    def Powered(self, on: "b") -> None:  # noqa: F821, N802
        if self.blocked:
            raise DBusError("org.bluez.Error.Blocked", "Blocked through rfkill")
        self.powered = on

    @dbus_method()
    def RemoveDevice(self, device: "o") -> None:  # noqa: F821, N802
        self.removed.append(device)


class FakeDevice(ServiceInterface):
    def __init__(self, address: str, paired: bool) -> None:
        super().__init__("org.bluez.Device1")
        self.address, self.paired = address, paired

    @dbus_property(access=PropertyAccess.READ)
    def Address(self) -> "s":  # noqa: F821, N802
        return self.address

    @dbus_property(access=PropertyAccess.READ)
    def Connected(self) -> "b":  # noqa: F821, N802
        return self.paired

    @dbus_property(access=PropertyAccess.READ)
    def Paired(self) -> "b":  # noqa: F821, N802
        return self.paired
