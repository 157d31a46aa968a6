"""What one command per point may write together."""

from pydatacoll.store.packets import Account, Packet, cost_of, merged

A, B = ["t:a", "t:b"], ["t:c"]


def packet(fields, *, mergeable=True, device="d"):
    made = Packet(0, device, Account(), fields, [0] * len(fields), 1.0, 0, 10)
    made.mergeable = mergeable
    return made


def test_readings_of_the_same_points_are_written_together():
    one, two, other = packet(A), packet(A), packet(B)
    assert merged([one, other, two]) == [[one, two], [other]]


def test_equal_lists_that_are_not_the_plans_own_are_kept_apart():
    one, two = packet(list(A)), packet(list(A))
    assert merged([one, two]) == [[one], [two]]


def test_what_is_not_from_a_plan_keeps_its_place():
    one, between, two, three = packet(A), packet(["t:a"], mergeable=False), packet(A), packet(A)
    assert merged([one, between, two, three]) == [[one], [between], [two, three]]


def test_another_device_does_not_end_the_merging():
    one, between, two = packet(A), packet(["t:a"], mergeable=False, device="e"), packet(A)
    assert merged([one, between, two]) == [[one, two], [between]]


def test_a_repeated_reading_costs_a_third():
    seen: set[int] = set()
    fields = ["t:x"] * 30
    assert [cost_of(packet(fields), seen) for _ in range(3)] == [30, 10, 10]
    assert cost_of(packet(fields, mergeable=False), seen) == 30
