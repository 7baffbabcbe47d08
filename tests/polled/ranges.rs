//! RANGE=THISANDFUTURE in feeds and upstream objects: every later instance is where the range moved it, for clients that have
//! never heard of ranges.

use kalends::base::{Interval, Limits, Utc};
use kalends::ical::{CalendarObject, DateOrTime};
use kalends::merge::{Provider, summary, to_ical};
use kalends::recur::{Budget, Series, stretches};
use kalends::zone::Zone;

use crate::fakes::{Api, Asked, Fake, Record, Reply};
use crate::puller::{Ended, Puller};

const MASTER: &str = "DTSTART;TZID=Europe/Berlin:20261102T100000\nDURATION:PT1H\nSUMMARY:Sync\nRRULE:FREQ=WEEKLY";

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:weekly\nDTSTAMP:20261101T000000Z\n{lines}\nEND:VEVENT\n")
}

/// From the instance with the original start `from` on it starts at `start`, both in Berlin.
fn range(from: &str, start: &str, title: &str) -> String {
    changed(";RANGE=THISANDFUTURE", from, start, title)
}

fn single(from: &str, start: &str, title: &str) -> String {
    changed("", from, start, title)
}

fn changed(range: &str, from: &str, start: &str, title: &str) -> String {
    event(&format!(
        "RECURRENCE-ID;TZID=Europe/Berlin{range}:{from}\nDTSTART;TZID=Europe/Berlin:{start}\nDURATION:PT1H\nSUMMARY:{title}"
    ))
}

fn calendar(events: &[String]) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//y\n{}END:VCALENDAR\n", events.concat())
}

fn intervals(text: &str, until: Utc) -> Vec<Interval> {
    let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e}: {text}"));
    let series = Series::new(&object, &Zone::utc()).expect("it compiles");
    let mut budget = Budget { steps: 1_000_000, instances: 100_000 };
    let found = series.occurrences(Interval::new(Utc::MIN, until), &mut budget).expect("few");
    found.into_iter().map(|one| one.interval).collect()
}

fn day(text: &str) -> Utc {
    let DateOrTime::Utc(at) = DateOrTime::parse(&format!("{text}T000000Z"), None).expect(text) else {
        panic!("{text}")
    };
    Utc::from_naive(at)
}

/// All stretches of `text` have the occurrences that it has; how many stretches they are.
fn same(text: &str, until: &str) -> usize {
    let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e}: {text}"));
    let stretches = stretches(&object, &Zone::utc(), 1_000, &mut 500_000).expect("it is taken apart");
    let mut found = Vec::new();
    for stretch in &stretches {
        let mut calendar = object.calendar.clone();
        calendar.components.retain(|component| component.is("VTIMEZONE"));
        calendar.components.push(stretch.master.clone());
        calendar.components.extend(stretch.overrides.iter().cloned());
        let text = calendar.to_ics();
        assert!(!text.contains("THISANDFUTURE"), "{text}");
        found.extend(intervals(&text, day(until)));
    }
    found.sort();
    assert_eq!(found, intervals(text, day(until)), "{text}\n{stretches:#?}");
    stretches.len()
}

#[test]
fn stretches_have_the_occurrences_of_the_whole() {
    let rules = [
        "RRULE:FREQ=WEEKLY",
        "RRULE:FREQ=WEEKLY;COUNT=12",
        "RRULE:FREQ=WEEKLY;UNTIL=20270201T090000Z",
        "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH",
        "RRULE:FREQ=WEEKLY;INTERVAL=3;WKST=SU;BYDAY=SU,MO,SA",
        "RRULE:FREQ=DAILY",
        "RRULE:FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
        "RRULE:FREQ=DAILY;INTERVAL=7;COUNT=30\nEXDATE;TZID=Europe/Berlin:20261116T100000,20261130T100000",
        "RRULE:FREQ=WEEKLY\nRDATE;TZID=Europe/Berlin:20261104T120000,20261203T150000",
        "RRULE:FREQ=WEEKLY;BYDAY=MO\nRRULE:FREQ=MONTHLY;BYMONTHDAY=9\nEXRULE:FREQ=WEEKLY;INTERVAL=4",
    ];
    let ranges = [
        range("20261116T100000", "20261116T110000", "Later"),
        range("20261116T100000", "20261117T093000", "Next day"),
        range("20261116T100000", "20261114T100000", "Saturday"),
        range("20261102T100000", "20261102T120000", "All of it"),
        range("20261116T100000", "20261116T110000", "A") + &range("20261130T100000", "20261201T080000", "B"),
        range("20261130T100000", "20261201T080000", "B") + &range("20261116T100000", "20261116T110000", "A"),
        range("20261116T100000", "20261116T110000", "A") + &single("20261123T100000", "20261124T160000", "Once"),
        range("20261116T100000", "20261116T110000", "A") + &single("20261109T100000", "20261110T160000", "Before"),
        event(
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20261116T090000Z\nDTSTART;TZID=America/New_York:20261116T040000\nDURATION:PT2H\nSUMMARY:Abroad",
        ),
    ];
    for rule in rules {
        for ranges in &ranges {
            let master = event(&MASTER.replace("RRULE:FREQ=WEEKLY", rule));
            same(&calendar(&[master, ranges.clone()]), "20280101");
        }
    }
}

#[test]
fn stretches_of_odd_rules_are_written_out() {
    for rule in [
        "FREQ=MONTHLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-1",
        "FREQ=YEARLY;BYMONTH=11;BYDAY=1MO",
        "FREQ=MONTHLY;BYDAY=1MO;COUNT=9",
        "FREQ=YEARLY;BYWEEKNO=45",
    ] {
        let master = event(&MASTER.replace("FREQ=WEEKLY", rule));
        let id = if rule.contains("YEARLY") { "20271101T100000" } else { "20261207T100000" };
        let start = if rule.contains("YEARLY") { "20271103T100000" } else { "20261209T090000" };
        same(&calendar(&[master, range(id, start, "Moved")]), "20350101");
    }
    let dated = "DTSTART;VALUE=DATE:20261101\nRRULE:FREQ=MONTHLY\nEXDATE;VALUE=DATE:20270201";
    let moved =
        "RECURRENCE-ID;VALUE=DATE;RANGE=THISANDFUTURE:20261201\nDTSTART;VALUE=DATE:20261203\nDTEND;VALUE=DATE:20261205";
    assert_eq!(same(&calendar(&[event(dated), event(moved)]), "20300101"), 2);
    let to_times = "RECURRENCE-ID;VALUE=DATE;RANGE=THISANDFUTURE:20261201\nDTSTART:20261201T090000Z\nDURATION:PT1H";
    same(&calendar(&[event(dated), event(to_times)]), "20300101");
    let excluded = MASTER.to_owned() + "\nEXDATE;TZID=Europe/Berlin:20261116T100000";
    same(&calendar(&[event(&excluded), range("20261116T100000", "20261116T110000", "Later")]), "20280101");
    let off_the_rule = range("20261118T100000", "20261118T110000", "Wednesday");
    same(&calendar(&[event(MASTER), off_the_rule]), "20280101");
}

#[derive(Debug, Default)]
struct Told {
    record: Record,
    body: String,
    version: u32,
}

impl Api for Told {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn kind(&self, _asked: &Asked) -> &'static str {
        "told"
    }

    /// A feed, and a server with this one resource.
    fn answer(&mut self, asked: &Asked) -> Reply {
        if asked.method == "GET" {
            return Reply { body: self.body.clone(), ..Reply::empty(200) };
        }
        let found = match asked.body.contains("sync-collection") {
            true => format!("<D:getetag>\"{}\"</D:getetag>", self.version),
            false => format!("<C:calendar-data>{}</C:calendar-data>", self.body),
        };
        let token = format!("<D:sync-token>t{}</D:sync-token>", self.version);
        let gone = "<D:status>HTTP/1.1 404 Not Found</D:status>".to_owned();
        let status = "<D:status>HTTP/1.1 200 OK</D:status>";
        let inside = match self.body.is_empty() {
            true => gone,
            false => format!("<D:propstat><D:prop>{found}</D:prop>{status}</D:propstat>"),
        };
        let body = format!(
            "<D:multistatus xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\"><D:response><D:href>/cal/a.ics</D:href>{inside}</D:response>{token}</D:multistatus>"
        );
        Reply { body, ..Reply::empty(207) }
    }
}

/// The same contents as a feed and as an upstream resource.
fn both() -> Vec<(Fake<Told>, Puller)> {
    let start = |provider, path| {
        let fake = Fake::start(|_| Told::default());
        let puller = Puller::new(provider, None, vec![format!("{}{path}", fake.url())]);
        (fake, puller)
    };
    vec![start(Provider::Ics, "/x.ics"), start(Provider::Caldav, "/cal/")]
}

fn tell((fake, puller): &mut (Fake<Told>, Puller), body: &str) {
    body.clone_into(&mut fake.state().body);
    fake.state().version += 1;
    assert!(matches!(puller.pull(), Ended::Done(_)), "{body}");
}

/// Titles and starts of everything until the end of the year.
fn shown(puller: &Puller) -> Vec<String> {
    let mut shown = Vec::new();
    for meeting in puller.world.meetings() {
        let text = to_ical(&meeting);
        assert!(!text.contains("RANGE"), "{text}");
        let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("an object");
        let series = Series::new(&object, &Zone::utc()).expect("it compiles");
        let mut budget = Budget { steps: 100_000, instances: 1_000 };
        for one in series.occurrences(Interval::new(Utc::MIN, day("20261215")), &mut budget).expect("few") {
            let title = object.calendar.components[one.component].text("SUMMARY").unwrap_or_default().into_owned();
            shown.push(format!("{} {title}", &one.interval.start.to_string()[4..13]));
        }
    }
    shown.sort();
    shown
}

#[test]
fn later_instances_follow_the_range() {
    for mut source in both() {
        tell(&mut source, &calendar(&[range("20261116T100000", "20261116T110000", "Later"), event(MASTER)]));
        let want = [
            "1102T0900 Sync",
            "1109T0900 Sync",
            "1116T1000 Later",
            "1123T1000 Later",
            "1130T1000 Later",
            "1207T1000 Later",
            "1214T1000 Later",
        ];
        assert_eq!(shown(&source.1), want);
        let rest = source.1.world.meetings().into_iter().find(|one| one.event.title == "Later").expect("the rest");
        assert_eq!(rest.uid, "weekly_R20261116T090000Z", "whoever has that series calls it so");
        assert_eq!(summary(&rest)["rrule"], "FREQ=WEEKLY");
    }
}

#[test]
fn an_override_within_the_range_and_a_second_range() {
    for mut source in both() {
        let events = [
            event(MASTER),
            single("20261123T100000", "20261124T160000", "Once"),
            range("20261130T100000", "20261201T080000", "Tuesdays"),
            range("20261116T100000", "20261116T110000", "Later"),
        ];
        let want = [
            "1102T0900 Sync",
            "1109T0900 Sync",
            "1116T1000 Later",
            "1124T1500 Once",
            "1201T0700 Tuesdays",
            "1208T0700 Tuesdays",
        ];
        for turn in 0..events.len() {
            let mut events = events.clone();
            events.rotate_left(turn);
            tell(&mut source, &calendar(&events));
            assert_eq!(shown(&source.1), want, "{turn}");
        }
    }
}

#[test]
fn a_range_that_is_taken_back_and_one_that_moves() {
    for mut source in both() {
        let with = |from: &str| calendar(&[event(MASTER), range(from, &from.replace("T10", "T13"), "Later")]);
        let plain = ["1102T0900 Sync", "1109T0900 Sync", "1116T0900 Sync", "1123T0900 Sync", "1130T0900 Sync"];
        tell(&mut source, &with("20261109T100000"));
        assert_eq!(shown(&source.1)[1], "1109T1200 Later");
        tell(&mut source, &with("20261123T100000"));
        let moved = shown(&source.1);
        assert_eq!(moved[..3], plain[..3]);
        assert_eq!(moved[3..], ["1123T1200 Later", "1130T1200 Later", "1207T1200 Later", "1214T1200 Later"]);
        tell(&mut source, &calendar(&[event(MASTER)]));
        assert_eq!(shown(&source.1)[..5], plain);
        assert_eq!(shown(&source.1).len(), 7);
        tell(&mut source, &with("20261109T100000"));
        assert_eq!(shown(&source.1).len(), 7, "and back again");
    }
}

#[test]
fn a_resource_that_goes_takes_its_ranges_along() {
    let mut source = both().remove(1);
    tell(&mut source, &calendar(&[event(MASTER), range("20261116T100000", "20261116T110000", "Later")]));
    assert_eq!(shown(&source.1).len(), 7);
    tell(&mut source, "");
    assert_eq!(shown(&source.1), Vec::<String>::new());
}

#[test]
fn any_order_and_repetition_of_two_versions_end_the_same() {
    for mut source in both() {
        let mut arrivals = Vec::new();
        let bodies = [
            calendar(&[
                event(MASTER),
                range("20261109T100000", "20261109T130000", "A"),
                single("20261116T100000", "20261117T100000", "Once"),
            ]),
            calendar(&[event(MASTER), range("20261123T100000", "20261123T130000", "B")]),
        ];
        for body in &bodies {
            source.1.world.records.clear();
            source.1.world.sweeps.clear();
            tell(&mut source, body);
            arrivals.extend(source.1.world.records.values().cloned());
            source.1.cursor = source.1.cursor.take().filter(|_| source.1.account.key.provider == Provider::Caldav);
        }
        source.1.world.records.clear();
        source.1.world.sweeps.clear();
        let mut seen = Vec::new();
        for turn in 0..arrivals.len() {
            let mut arrivals = arrivals.clone();
            arrivals.rotate_left(turn);
            let mut world = crate::world::World::of(&[]);
            for record in arrivals.iter().chain(&arrivals) {
                world.take(record.clone());
            }
            seen.push(world.seen());
        }
        assert!(seen.windows(2).all(|two| two[0] == two[1]));
        assert_eq!(seen[0].len(), 2, "{:#?}", seen[0].keys());
    }
}

#[test]
fn a_better_copy_of_the_series_says_how_it_goes_on() {
    use crate::world::{World, berlin, event as told_by, google, version};
    use kalends::merge::{Content, Recurrence, Role, SourceRecord, Version};
    for mut source in both() {
        tell(&mut source, &calendar(&[event(MASTER), range("20261116T100000", "20261116T110000", "Later")]));
        let recurrence = Some(Recurrence { rules: vec!["FREQ=WEEKLY".to_owned()], ..Recurrence::default() });
        let own = told_by(Role::Organiser, "weekly", "Ours", berlin("20261102T140000"), 3_600);
        let ours = SourceRecord::whole(google("g1"), version(1, 1), Content { recurrence, ..own });
        let is_feed = source.1.account.key.provider == Provider::Ics;
        let mut world = World::of(&[]);
        world.take(ours.clone());
        for record in source.1.world.records.values() {
            world.take(record.clone());
        }
        // The upstream copy is its organiser's as well, and Google comes before it.
        assert_eq!(world.only().event.title, "Ours", "{is_feed}: one series, not two from the middle on");
        world.take(SourceRecord::tombstone(google("g1"), Version::of_generation(kalends::merge::Generation(2))));
        let titles: Vec<String> = world.meetings().into_iter().map(|one| one.event.title).collect();
        // A feed does not bring back what its organiser has deleted; an upstream copy that is the organiser's too does.
        assert_eq!(titles, if is_feed { Vec::new() } else { vec!["Sync", "Later"] });
    }
}

#[test]
fn a_better_copy_with_another_uid_says_so_too() {
    use crate::world::{World, berlin, event as told_by, google, version};
    use kalends::merge::{Content, Recurrence, Role, SourceRecord};
    let link = "https://meet.google.com/pro-duct-syn";
    for mut source in both() {
        let master = event(&format!("{MASTER}\nLOCATION:{link}"));
        tell(&mut source, &calendar(&[master, range("20261116T100000", "20261116T110000", "Later")]));
        let recurrence = Some(Recurrence { rules: vec!["FREQ=WEEKLY".to_owned()], ..Recurrence::default() });
        let own = told_by(Role::Organiser, "another@google.com", "Ours", berlin("20261102T100000"), 3_600);
        let own = Content { recurrence, join_url: Some(link.to_owned()), ..own };
        let mut world = World::of(&[]);
        world.take(SourceRecord::whole(google("g1"), version(1, 1), own));
        for record in source.1.world.records.values() {
            world.take(record.clone());
        }
        assert_eq!(world.only().event.title, "Ours", "one series, not two from the middle on");
    }
}

#[test]
fn a_series_with_thousands_of_rests_is_settled() {
    use crate::world::{World, berlin, event as told_by, feed, version};
    use kalends::merge::{Content, Part, Role, SourceRecord, known_time};
    use kalends::zone::Zones;
    const RESTS: usize = 2_000;
    let start = berlin("20261102T100000");
    let series = |id: &str, part| {
        let content = told_by(Role::Feed, id, "Sync", start.clone(), 3_600);
        SourceRecord::whole(feed(id), version(1, 0), Content { part: Some(part), ..content })
    };
    let mut world = World::of(&[]);
    world.take(series("weekly", Part::Event));
    let zones = Zones::of(&kalends::ical::new_calendar(), &Zone::utc());
    let original_start = known_time(&start, &zones);
    for nth in 0..RESTS {
        let part = Part::Rest { series: "weekly".to_owned(), original_start: original_start.clone() };
        world.take(series(&format!("weekly_R{nth}"), part));
    }
    assert_eq!(world.meetings().len(), RESTS + 1);
}

#[test]
fn a_rest_goes_with_its_series_whichever_is_forgotten_first() {
    for mut source in both() {
        tell(&mut source, &calendar(&[event(MASTER), range("20261116T100000", "20261116T110000", "Later")]));
        let records = &mut source.1.world.records;
        let is_rest = |one: &kalends::merge::SourceRecord| one.source.id.contains("_R");
        records.retain(|_, record| is_rest(record));
        assert_eq!(records.len(), 1);
        assert_eq!(shown(&source.1), Vec::<String>::new());
    }
}

#[test]
fn without_steps_nothing_is_cut_short() {
    let text = calendar(&[event(MASTER), range("20261116T100000", "20261116T110000", "Later")]);
    let object = CalendarObject::parse(text.as_bytes(), &Limits::default()).expect("an object");
    let whole = stretches(&object, &Zone::utc(), 1_000, &mut 500_000).expect("it is taken apart");
    let mut last = None;
    for given in (0..20_000).step_by(500) {
        let mut left = given;
        match stretches(&object, &Zone::utc(), 1_000, &mut left) {
            Ok(found) => assert_eq!(found, whole, "with {given} steps"),
            Err(_) => last = Some(given),
        }
        assert!(left <= given);
    }
    assert!(last.is_some_and(|last| last < 19_500), "{last:?}: more is enough");
}

#[test]
fn a_feed_with_ranges_in_every_series_is_read() {
    let mut source = both().remove(0);
    let object = |nth: usize| {
        calendar(&[event(MASTER), range("20261116T100000", "20261116T110000", "Later")])
            .lines()
            .filter(|line| !line.contains("VCALENDAR") && !line.starts_with("VERSION") && !line.starts_with("PRODID"))
            .map(|line| format!("{line}\n").replace("UID:weekly", &format!("UID:weekly{nth}")))
            .collect::<String>()
    };
    tell(&mut source, &calendar(&(0..50).map(object).collect::<Vec<_>>()));
    assert_eq!(source.1.world.records.len(), 100);
}
