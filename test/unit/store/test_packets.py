"""What one command per point may write together."""

from pydatacoll.store.packets import Account, Packet, cost_of, joined, merged

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


def rows(packets):
    return [
        (packet.device_id, packet.late, field, packet.values[i], *(
            column[i] if isinstance(column, list) else column
            for column in (packet.times, packet.qualities, packet.lengths)
        ))
        for packet in packets
        for i, field in enumerate(packet.fields)
    ]  # fmt: skip


def small(fields, values, *, device="d", late=False, times=1.0, qualities=0, lengths=10):
    made = Packet(0, device, Account(), fields, values, times, qualities, lengths)
    made.late = late
    return made


def test_small_packets_of_a_device_are_told_to_the_store_as_one():
    packets = [
        small(["t:a"], [1]),
        small(["t:x"], [7], device="e"),
        small(["t:a", "t:b"], [2, 3], times=[2.0, 3.0], qualities=4, lengths=[10, 5]),
    ]
    one, other = joined(packets)
    assert other is packets[1]
    assert rows([one]) == rows([packets[0], packets[2]])
    assert (one.times, one.qualities, one.lengths) == ([1.0, 2.0, 3.0], [0, 4, 4], [10, 10, 5])
    assert (packets[0].fields, packets[0].values) == (["t:a"], [1])


def test_what_is_common_to_all_stays_common():
    (one,) = joined([small(["t:a"], [1]), small(["t:b"], [2])])
    assert (one.times, one.qualities, one.lengths) == (1.0, 0, 10)


def test_late_samples_and_readings_of_plans_are_not_joined_with_others_and_keep_their_place():
    plan = packet(A)
    packets = [small(["t:a"], [1]), small(["t:a"], [2], late=True), small(["t:a"], [3]), plan, small(["t:a"], [4])]
    assert joined(packets) == packets
