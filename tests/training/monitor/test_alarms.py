"""Exceedances of single days become alarms that a person can act on."""

import dataclasses

from cloche.training.monitor.alarms import Alarm, Exceedance, alarms_of

WET = Exceedance("drift", "humidity", "1", 10, 1.5, "missing is 1", "check the feed")


def alarms(*found: Exceedance, judged: range = range(20), last: int = 19) -> list[Alarm]:
    days = list(judged)
    return alarms_of(found, {("drift", "1"): days, ("drift", "2"): days}, {"1": last, "2": 19})


def on(day: int, **changes: object) -> Exceedance:
    return dataclasses.replace(WET, day=day, **changes)


def test_days_in_a_row_are_one_alarm_with_the_worst_of_them():
    (alarm,) = alarms(on(10), on(11, excess=3.0, says="missing is 0.9"), on(13))

    assert alarm.days == (10, 11, 13)
    assert alarm.says == ("missing is 0.9 on 1970-01-12",)


def test_columns_that_go_wrong_on_the_same_day_are_one_alarm_the_worst_first():
    (alarm,) = alarms(on(10), on(10, subject="pressure", excess=9.0))

    assert alarm.subjects == ("pressure", "humidity")


def test_what_begins_on_another_day_or_is_advised_otherwise_is_an_alarm_of_its_own():
    assert len(alarms(on(10), on(12, subject="pressure"), on(10, advice="check the unit"))) == 3
    assert len(alarms(on(2), on(10))) == 2


def test_an_alarm_is_over_when_three_judged_days_had_no_exceedance():
    assert not alarms(on(10))[0].is_open
    assert alarms(on(17))[0].is_open


def test_an_alarm_about_a_version_that_answers_no_more_is_over():
    assert not alarms(on(17), last=18)[0].is_open


def test_the_text_names_version_column_day_amount_and_advice():
    (alarm,) = alarms(on(17))

    assert alarm.text == "version 1, humidity: missing is 1 on 1970-01-18. Check the feed."
