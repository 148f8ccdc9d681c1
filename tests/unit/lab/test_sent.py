"""The judge of what senders have sent: one that sends after a newer one is found."""

import pytest

from tests.judges.sent import late, read

CLAIM = '0.5 9 40{"appID": "x", "nodeID": "a", "epoch": 1, "run": "r1", "token": "t"}\n'
COUNT = '1.000000 9 421["count", {"count": 4, "appID": "x", "nodeID": "a"}]\n'
CLAIM_2 = '1.5 7 40{"appID":"x","nodeID":"b","epoch":2,"run":"r2"}\n'
COUNT_2 = '2.000000 7 420["count",{"count":5,"appID":"x","nodeID":"b"},{"count":6'
AFTER = '2.500000 9 422["count", {"count": 5, "appID": "x", "nodeID": "a"}]\n'


def test_what_was_sent_is_read_with_the_epoch_that_was_claimed() -> None:
    sent = read({"a": f'{CLAIM}0.7 9 420["resume"]\n{COUNT}', "b": CLAIM_2 + COUNT_2})
    assert [(one.at, one.host, one.epoch, one.count) for one in sent] == [
        (1.0, "a", 1, 4),
        (2.0, "b", 2, 5),
    ]
    assert not late(sent)


@pytest.mark.parametrize("app", ["x", "y"])
def test_a_count_of_an_older_run_after_one_of_a_newer_is_late(app: str) -> None:
    newer = (CLAIM_2 + COUNT_2).replace('"x"', f'"{app}"')
    found = late(read({"a": CLAIM + COUNT + AFTER, "b": newer}))
    assert [(one.sent.at, one.newer.at) for one in found] == ([(2.5, 2.0)] if app == "x" else [])


def test_a_process_of_the_same_number_claims_anew() -> None:
    again = CLAIM_2.replace("1.5 7", "1.5 9") + COUNT_2.replace(" 7 ", " 9 ")
    assert [one.epoch for one in read({"a": CLAIM + COUNT + again})] == [1, 2]
