#!/usr/bin/env python3
"""Compares the expander with python-dateutil (PyPI) and rrule-temporal (npm) over fresh random rules.

    conformance/recur/differential.py [--rules 10000] [--seed N] [--expand PATH] [--modules DIR]

`--expand` is the built example `expand` (default: cargo builds it), `--modules` a directory whose node_modules holds
rrule-temporal (default: installed below target/conformance/recur; without it, dateutil is the only other voice).

Every rule is asked for its first 20 times within 30 years. A difference counts as explained if it falls into one of the
classes in EXPLAINED, each with the sentence of RFC 5545 that decides it, or if the other library says what we say; and
besides only if the table of section 3.3.10 gone through day by day (plain.py) gives our answer. Where both libraries give
up, plain.py alone has to.
The exit status is 0 if nothing is left unexplained.
"""

import argparse
import collections
import datetime
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys

from dateutil.rrule import rrulestr

import plain

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FREQS = ["SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
LIMIT = 20


def mixes_ordinals(rule):
    kinds = {len(day) > 2 for day in rule.get("BYDAY", "").split(",") if day}
    return kinds == {True, False}


def has_weeks(rule):
    return "BYWEEKNO" in rule


# Who, when, and the sentence of RFC 5545 section 3.3.10 that decides against them.
EXPLAINED = [
    ("dateutil", "BYDAY mixes plain days and ordinals", mixes_ordinals,
     "\"If an integer modifier is not present, it means all days of this type within the specified frequency.\" "
     "Each value stands for itself; dateutil takes those with a number as a limit on those without."),
    ("dateutil", "BYWEEKNO without any part that names a day", lambda r: has_weeks(r) and not any(
        part in r for part in ("BYDAY", "BYMONTHDAY", "BYYEARDAY")),
     "\"Information, not contained in the rule, necessary to determine the various recurrence instance start time and "
     "dates are derived from the Start Time\": the weekday is DTSTART's; dateutil takes all seven."),
    ("dateutil", "WEEKLY with BYSETPOS", lambda r: r["FREQ"] == "WEEKLY" and "BYSETPOS" in r,
     "\"A set of recurrence instances starts at the beginning of the interval defined by the FREQ rule part\": the first "
     "week begins with WKST; dateutil begins it with DTSTART."),
    ("rrule-temporal", "BYWEEKNO beside other parts", has_weeks,
     "\"BYxxx rule parts are applied to the current set of evaluated occurrences in the following order: BYMONTH, BYWEEKNO, "
     "BYYEARDAY, BYMONTHDAY, BYDAY\": each limits what the ones before left."),
    ("rrule-temporal", "YEARLY with BYYEARDAY beside BYMONTHDAY or BYMONTH",
     lambda r: r["FREQ"] == "YEARLY" and "BYYEARDAY" in r and ("BYMONTHDAY" in r or "BYMONTH" in r),
     "The same sentence: BYMONTHDAY limits what BYYEARDAY left, it adds nothing to it."),
    ("rrule-temporal", "YEARLY with BYDAY that mixes plain days and ordinals",
     lambda r: r["FREQ"] == "YEARLY" and mixes_ordinals(r),
     "\"If an integer modifier is not present, it means all days of this type within the specified frequency.\" "
     "rrule-temporal leaves out those without a number."),
    ("rrule-temporal", "YEARLY with BYYEARDAY or BYMONTHDAY beside ordinals in BYDAY",
     lambda r: r["FREQ"] == "YEARLY" and ("BYYEARDAY" in r or "BYMONTHDAY" in r) and any(len(day) > 2 for day in r.get("BYDAY", "").split(",")),
     "Note 2 of the table, of BYDAY in a YEARLY rule: \"Limit if BYYEARDAY or BYMONTHDAY is present\"; "
     "rrule-temporal adds the days that BYDAY names."),
]


def pick(rng, low, high, most, negative=False):
    numbers = {rng.randint(low, high) * (-1 if negative and rng.random() < 0.4 else 1) for _ in range(rng.randint(1, most))}
    return ",".join(str(n) for n in sorted(numbers))


def random_rule(rng):
    freq = rng.choice(FREQS)
    rule = {"FREQ": freq}
    if rng.random() < 0.5:
        rule["INTERVAL"] = str(rng.choice([2, 2, 3, 4, 5, 7, 10, 12, 15, 30, 90]))
    if rng.random() < 0.3:
        rule["BYMONTH"] = pick(rng, 1, 12, 4)
    if freq == "YEARLY" and rng.random() < 0.25:
        rule["BYWEEKNO"] = pick(rng, 1, 53, 3, True)
    if freq in ("SECONDLY", "MINUTELY", "HOURLY", "YEARLY") and rng.random() < 0.2:
        rule["BYYEARDAY"] = pick(rng, 1, 366, 4, True)
    if freq != "WEEKLY" and rng.random() < 0.25:
        rule["BYMONTHDAY"] = pick(rng, 1, 31, 5, True)
    if rng.random() < 0.4:
        days = set(rng.sample(DAYS, rng.randint(1, 4)))
        if freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in rule and rng.random() < 0.5:
            days = {f"{rng.choice([-5, -2, -1, 1, 2, 3, 4, 5])}{day}" if rng.random() < 0.8 else day for day in days}
        rule["BYDAY"] = ",".join(sorted(days))
    for part, high in (("BYHOUR", 23), ("BYMINUTE", 59), ("BYSECOND", 59)):
        if rng.random() < 0.15:
            rule[part] = pick(rng, 0, high, 3)
    if len(rule) > 2 and rng.random() < 0.15:
        rule["BYSETPOS"] = pick(rng, 1, 4, 2, True)
    if rng.random() < 0.3:
        rule["WKST"] = rng.choice(DAYS)
    return rule


def text_of(rule):
    return ";".join(f"{name}={value}" for name, value in rule.items())


class TooLong(Exception):
    pass


def give_up(*_):
    raise TooLong


def dateutil_times(case):
    if case.get("slow"):
        return None
    start = datetime.datetime.strptime(case["dtstart"], "%Y%m%dT%H%M%S")
    horizon = datetime.datetime.strptime(case["horizon"], "%Y%m%dT%H%M%S")
    found = []
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.15)
    try:
        for time in rrulestr(case["rrule"], dtstart=start):
            if time >= horizon or len(found) == LIMIT:
                break
            found.append(time.strftime("%Y%m%dT%H%M%S"))
    except (TooLong, ValueError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return found


def cases(rng, number):
    """Random rules whose DTSTART fits them by dateutil's word; where it finds none, DTSTART stays as it was."""
    for _ in range(number):
        rule = random_rule(rng)
        start = datetime.datetime(rng.randint(1990, 2035), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23),
                                  rng.choice([0, 15, 30, 59]), rng.choice([0, 0, 30, 59]))
        case = {"dtstart": start.strftime("%Y%m%dT%H%M%S"), "rrule": text_of(rule), "limit": LIMIT,
                "horizon": f"{start.year + 30}0101T000000"}
        fitting = dateutil_times(case)
        case["slow"] = fitting is None
        if fitting:
            case["dtstart"] = fitting[0]
        if rng.random() < 0.3:
            rule["COUNT"] = str(rng.randint(1, 15))
        case["rrule"] = text_of(rule)
        yield rule, case


def run(command, lines):
    text = "\n".join(json.dumps(line) for line in lines) + "\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def temporal(modules, lines):
    if modules is None:
        modules = ROOT / "target/conformance/recur"
        modules.mkdir(parents=True, exist_ok=True)
        if shutil.which("npm") is None:
            return [None] * len(lines)
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", str(modules), "rrule-temporal@2.2.8"], check=True)
    return run(["node", str(HERE / "rrule_temporal.mjs"), str(modules)], lines)


def by_the_table(rule, case):
    """What plain.py says of the case."""
    start, horizon = (datetime.datetime.strptime(case[name], "%Y%m%dT%H%M%S") for name in ("dtstart", "horizon"))
    return [time.strftime("%Y%m%dT%H%M%S") for time in plain.times(rule, start, horizon, LIMIT)]


def without_start(times, case):
    """DTSTART is an occurrence for us even where it does not fit; the others leave it out."""
    return None if times is None else [time for time in times if time != case["dtstart"]][: LIMIT - 1]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rules", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options.add_argument("--expand")
    options.add_argument("--modules", type=pathlib.Path)
    options = options.parse_args()
    signal.signal(signal.SIGVTALRM, give_up)
    rng = random.Random(options.seed)
    print(f"{options.rules} rules, --seed {options.seed}")
    both = list(cases(rng, options.rules))
    lines = [case for _, case in both]
    command = [options.expand] if options.expand else ["cargo", "run", "--quiet", "--release", "--example", "expand"]
    ours = run(command, lines)
    print("ours: done", flush=True)
    theirs = {"dateutil": [dateutil_times(case) for case in lines]}
    print("dateutil: done", flush=True)
    theirs["rrule-temporal"] = temporal(options.modules, lines)
    tally, unexplained = collections.Counter(), []
    for index, (rule, case) in enumerate(both):
        if isinstance(ours[index], dict):
            unexplained.append((case, "ours", ours[index]))
            continue
        have = without_start(ours[index], case)
        said = {name: without_start(times[index], case) for name, times in theirs.items()}
        is_unfit = "COUNT" in rule and any(
            times[index] is not None and times[index][:1] != [case["dtstart"]] for times in theirs.values())
        if all(want is None for want in said.values()):
            table = without_start(by_the_table(rule, case), case)
            if table != have:
                unexplained.append((case, "plain.py", table, have))
            tally["both gave up: plain.py says what we say, or see below"] += 1
        for name, want in said.items():
            if want is None:
                tally[f"{name}: gave up"] += 1
            elif want == have:
                tally[f"{name}: same"] += 1
            elif (table := without_start(by_the_table(rule, case), case)) != have:
                unexplained.append((case, "plain.py", table, have))
            elif is_unfit and have == want[: len(have)] and len(want) == len(have) + 1:
                tally["DTSTART does not fit and counts (\"The DTSTART property value always counts as the first occurrence\")"] += 1
            elif why := next((what for who, what, when, _ in EXPLAINED if who == name and when(rule)), None):
                tally[f"{name}: {why}"] += 1
            elif any(other == have for who, other in said.items() if who != name):
                tally[f"{name}: the other library says what we say"] += 1
            else:
                unexplained.append((case, name, want, have))
    for what, number in sorted(tally.items()):
        print(f"{number:8}  {what}")
    for who, what, _, sentence in EXPLAINED:
        if tally[f"{who}: {what}"]:
            print(f"\n{who}: {what}\n  {sentence}")
    print(f"\n{len(unexplained)} unexplained")
    for entry in unexplained[:20]:
        print(json.dumps(entry))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
