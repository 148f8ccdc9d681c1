"""Times of counts, merged until they are as many as a picture can show."""

from sendrecv.proof.judge.spans import TimeSpans


def test_dots_are_merged_when_there_are_too_many() -> None:
    spans = TimeSpans(100)
    for second in range(100_000):
        if second % 1000 < 990:
            spans.add(second * 1_000_000, second // 5000, 0)
    assert len(spans.spans) <= 200
    assert spans.spans[0].first == 0 and spans.spans[-1].last == 99_989_000_000
