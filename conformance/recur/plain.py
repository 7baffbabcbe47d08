"""The table of RFC 5545 section 3.3.10 day by day: slow, short, and of one piece with the text.

It decides between libraries that disagree; it shares nothing with the expander.
"""

import calendar
import datetime

DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
ONE_DAY = datetime.timedelta(days=1)
# How many seconds a period of the frequencies within a day has.
UNITS = {"HOURLY": 3_600, "MINUTELY": 60, "SECONDLY": 1}


def numbers(rule, part):
    return {int(number) for number in rule[part].split(",")} if part in rule else set()


def week_one(year, wkst):
    """The first day of week 1: the first week with four days in the year."""
    fourth = datetime.date(year, 1, 4)
    return fourth - ONE_DAY * ((fourth.weekday() - wkst) % 7)


def week_numbers(day, wkst):
    """The number of the day's week in its week-year, from the front and from the back."""
    year = day.year
    if day >= week_one(year + 1, wkst):
        year += 1
    elif day < week_one(year, wkst):
        year -= 1
    number = (day - week_one(year, wkst)).days // 7 + 1
    weeks = (week_one(year + 1, wkst) - week_one(year, wkst)).days // 7
    return {number, number - weeks - 1}


def in_period(day, first, last):
    """The ordinals of a weekday among its like between two days, from the front and from the back."""
    return {(day - first).days // 7 + 1, -((last - day).days // 7 + 1)}


class Rule:
    def __init__(self, rule, start):
        self.freq, self.rule, self.start = rule["FREQ"], rule, start
        self.interval = int(rule.get("INTERVAL", 1))
        self.wkst = DAYS.index(rule.get("WKST", "MO"))
        self.positions = numbers(rule, "BYSETPOS")
        self.byday = [(int(day[:-2] or 0), DAYS.index(day[-2:])) for day in rule["BYDAY"].split(",")] if "BYDAY" in rule else []
        self.times = sorted(
            datetime.time(hour, minute, second)
            for hour in numbers(rule, "BYHOUR") or {start.hour}
            for minute in numbers(rule, "BYMINUTE") or {start.minute}
            for second in numbers(rule, "BYSECOND") or {start.second}
        )
        self.months, self.weeks = numbers(rule, "BYMONTH"), numbers(rule, "BYWEEKNO")
        self.yeardays, self.monthdays = numbers(rule, "BYYEARDAY"), numbers(rule, "BYMONTHDAY")

    def period(self, day):
        """The number of the day's period, counted from the one that DTSTART lies in."""
        begin = self.start.date()
        if self.freq == "YEARLY":
            return day.year - begin.year
        if self.freq == "MONTHLY":
            return (day.year - begin.year) * 12 + day.month - begin.month
        if self.freq == "WEEKLY":
            monday = begin - ONE_DAY * ((begin.weekday() - self.wkst) % 7)
            return (day - monday).days // 7
        return (day - begin).days

    def takes(self, day):
        month_days = calendar.monthrange(day.year, day.month)[1]
        year_days = 366 if calendar.isleap(day.year) else 365
        yearday = day.timetuple().tm_yday
        return (
            (not self.months or day.month in self.months)
            and (not self.weeks or bool(self.weeks & week_numbers(day, self.wkst)))
            and (not self.yeardays or bool(self.yeardays & {yearday, yearday - year_days - 1}))
            and (not self.monthdays or bool(self.monthdays & {day.day, day.day - month_days - 1}))
            and (not self.byday or self.takes_weekday(day, month_days))
            and self.takes_by_start(day)
        )

    def takes_weekday(self, day, month_days):
        if self.freq == "MONTHLY" or (self.freq == "YEARLY" and self.months):
            ordinals = in_period(day, day.replace(day=1), day.replace(day=month_days))
        else:
            ordinals = in_period(day, day.replace(month=1, day=1), day.replace(month=12, day=31))
        return any(weekday == day.weekday() and (number == 0 or number in ordinals) for number, weekday in self.byday)

    def takes_by_start(self, day):
        """What the rule does not say is taken from DTSTART."""
        start = self.start
        if self.freq == "DAILY" or self.freq in UNITS or self.byday or self.yeardays or self.monthdays:
            return True
        if self.freq == "WEEKLY" or self.weeks:
            return day.weekday() == start.weekday()
        if self.freq == "MONTHLY" or self.months:
            return day.day == start.day
        return (day.month, day.day) == (start.month, start.day)


def times(rule, start, horizon, limit):
    """The first `limit` times before `horizon`, DTSTART first whether it fits or not."""
    plain, limit = Rule(rule, start), min(limit, int(rule.get("COUNT", limit)))
    if plain.freq in UNITS:
        return times_within_days(plain, horizon, limit)
    found, current, gathered = [start], None, []
    # The period that DTSTART lies in begins before it: positions count from there.
    day = start.date() - ONE_DAY * (366 if plain.positions else 0)
    while day < horizon.date() + ONE_DAY * 366 and len(found) < limit + 1:
        number = plain.period(day)
        if number != current:
            found += chosen(gathered, plain.positions, start)
            current, gathered = number, []
        if number >= 0 and number % plain.interval == 0 and plain.takes(day):
            gathered += [datetime.datetime.combine(day, time) for time in plain.times]
        day += ONE_DAY
    return [time for time in found if time < horizon][:limit]


def times_within_days(plain, horizon, limit):
    """The same for periods shorter than a day: every day that fits, every period of it that INTERVAL and the rule take."""
    unit, start = UNITS[plain.freq], plain.start
    periods, offsets = periods_of_a_day(plain)
    # Every period has the same times, so positions take the same of each.
    offsets = at_positions(offsets, plain.positions)
    # A day's periods are those of one remainder, so that a long interval need not be counted through.
    by_remainder = {}
    for period in periods:
        by_remainder.setdefault(period % plain.interval, []).append(period)
    first = (start.hour * 3_600 + start.minute * 60 + start.second) // unit
    found, day = [start], start.date()
    while offsets and day < horizon.date() and len(found) < limit:
        if plain.takes(day):
            before = (day - start.date()).days * (86_400 // unit) - first
            for period in by_remainder.get(-before % plain.interval, []):
                begin = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(seconds=period * unit)
                found += [begin + offset for offset in offsets if begin + offset > start]
                if len(found) >= limit:
                    break
        day += ONE_DAY
    return [time for time in found if time < horizon][:limit]


def periods_of_a_day(plain):
    """The numbers of the periods of any day that BYHOUR, BYMINUTE and BYSECOND leave, and the times within one of them: parts finer
    than the frequency expand it, or come from DTSTART."""
    hours, minutes, seconds = (numbers(plain.rule, part) for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
    hours = sorted(hours or range(24))
    if plain.freq == "HOURLY":
        within = [minute * 60 + second for minute in minutes or {plain.start.minute} for second in seconds or {plain.start.second}]
        periods = hours
    else:
        minutes = [hour * 60 + minute for hour in hours for minute in sorted(minutes or range(60))]
        if plain.freq == "MINUTELY":
            within, periods = seconds or {plain.start.second}, minutes
        else:
            within, periods = {0}, [minute * 60 + second for minute in minutes for second in sorted(seconds or range(60))]
    return periods, [datetime.timedelta(seconds=second) for second in sorted(within)]


def chosen(gathered, positions, start):
    """What BYSETPOS leaves of a period's times, less those up to DTSTART."""
    return [time for time in at_positions(gathered, positions) if time > start]


def at_positions(gathered, positions):
    if not positions:
        return gathered
    last = len(gathered)
    return [time for at, time in enumerate(gathered) if at + 1 in positions or at - last in positions]
