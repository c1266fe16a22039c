"""The trial's result as a table for people."""

from __future__ import annotations

from typing import Any

BAR_S = 10.0


def table(result: dict[str, Any]) -> str:
    """Lines of text, the verdict last."""
    system = result["system"]
    lines = [
        f"Debian {system['debian']}, kernel {system['kernel']}, BlueZ {system['bluez']} ({system['accelerator']})",
        "",
        f"{'fault':36}{'times':>6}{'median s':>10}{'worst s':>9}{'bar s':>7}",
    ]
    for fault, times in result["recovery_s"].items():
        worst, middle = max(times), sorted(times)[len(times) // 2]
        mark = "" if worst <= result["bar_s"] else "  MISSED"
        lines.append(f"{fault:36}{len(times):>6}{middle:>10.2f}{worst:>9.2f}{result['bar_s']:>7.0f}{mark}")
    lines += [
        "",
        f"{'notifications':14}{'sent':>8}{'journal':>9}{'twice':>7}{'alien':>7}{'missing':>9}{'in flight':>11}{'in fault':>10}",
    ]
    for name, book in result["notifications"].items():
        lines.append(
            f"{name:14}{book['sent']:>8}{book['journaled']:>9}{book['twice']:>7}{book['never_sent']:>7}"
            f"{book['missing']:>9}{book['in_flight']:>11}{book['during_faults']:>10}{'' if book['exact'] else '  MISSED'}"
        )
    lines += ["", f"{'held by the gateway':36}{'D-Bus connections':>18}{'open files':>12}"]
    for when, count in result["bus_connections"].items():
        lines.append(f"{when:36}{count:>18}{result['open_files'][when]:>12}")
    if result["exit_status"] or result["left_connected"]:
        lines += ["", f"after the end: exit status {result['exit_status']}, still connected {result['left_connected']}"]
    lines += [
        "",
        f"connections to the stranger's sensor: {result['strangers_connections']}",
        f"all bars met: {'yes' if result['passed'] else 'NO'}",
    ]
    return "\n".join(lines)
