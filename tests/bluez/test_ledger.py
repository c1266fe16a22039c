"""The trial's bookkeeping: what it must call missing, doubled or invented, and what it may forgive."""

from __future__ import annotations

from tests.bluez.ledger import Journaled, Sent, Tally, tally

FRAMES = [Sent(float(i), bytes([i])) for i in range(10)]


def heard(*which: int) -> list[Journaled]:
    return [Journaled(i + 0.01, bytes([i])) for i in which]


def test_everything_once_is_exact() -> None:
    assert tally(FRAMES, heard(*range(10)), []) == Tally(10, 10, 0, 0, 0, 0, 0)
    assert tally(FRAMES, heard(*range(10)), []).exact


def test_a_second_copy_is_seen_however_late() -> None:
    book = tally(FRAMES, [*heard(*range(10)), Journaled(9.9, bytes([3]))], [])
    assert (book.twice, book.exact) == (1, False)


def test_what_nobody_sent_is_seen_also_where_the_bytes_come_before_they_were_sent() -> None:
    book = tally(FRAMES, [*heard(*range(10)), Journaled(5.0, b"?"), Journaled(1.0, bytes([7]))], [])
    assert (book.never_sent, book.exact) == (2, False)


def test_losses_are_forgiven_in_a_fault_and_just_before_it_only() -> None:
    book = tally(FRAMES, heard(0, 1, 3, 7, 8, 9), [(4.4, 6.5)])
    assert (book.in_flight, book.during_faults, book.missing) == (1, 2, 1)
    assert not book.exact


def test_equal_bytes_sent_twice_are_two_notifications() -> None:
    sent = [Sent(1.0, b"a"), Sent(11.0, b"a")]
    assert tally(sent, [Journaled(1.1, b"a"), Journaled(11.1, b"a")], []).exact
    assert tally(sent, [Journaled(11.1, b"a")], []).missing == 1
    assert tally(sent, [Journaled(1.1, b"a"), Journaled(1.2, b"a"), Journaled(11.1, b"a")], []).twice == 1


def test_an_empty_journal_is_not_exact() -> None:
    assert not tally([], [], []).exact
