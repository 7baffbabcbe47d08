// A day with tsdav: each step is a check, run in order on one calendar. Prints a JSON line for each.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';

const require = createRequire(join(process.argv[2], 'package.json'));
const { DAVClient, DAVNamespaceShort } = require('tsdav');
const server = JSON.parse(process.env.SERVER);

const event = (uid, summary, start = '20301104T090000Z', more = '') =>
  ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Kalends//Conformance//EN', 'BEGIN:VEVENT', `UID:${uid}`,
    'DTSTAMP:20301101T000000Z', `DTSTART:${start}`, 'DURATION:PT1H', `SUMMARY:${summary}`,
    ...(more ? more.split('\n') : []), 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n');

const connect = (user = 'alice') => new DAVClient({
  serverUrl: server.origin + server.root,
  credentials: { username: user, password: server.users[user] },
  authMethod: 'Basic',
  defaultAccountType: 'caldav',
});

const s = {};
const steps = [];
const step = (name, run) => steps.push({ name, run });
const mine = async () => (await s.client.fetchCalendars()).find((c) => c.url === s.url);
const objects = (extra = {}) => s.client.fetchCalendarObjects({ calendar: s.calendar, ...extra });
const data = async (name) => (await objects()).find((o) => o.url.endsWith(`/${name}`))?.data;

step('discovery: log in through the well-known URL, principal and home', async () => {
  s.client = connect();
  await s.client.login();
  const account = s.client.account;
  assert.ok(account.principalUrl && account.homeUrl, JSON.stringify(account));
  const calendars = await s.client.fetchCalendars();
  assert.ok(calendars.some((c) => c.url.endsWith('/default/')), JSON.stringify(calendars.map((c) => c.url)));
  s.home = account.homeUrl;
});

step('a wrong password is refused', async () => {
  const wrong = new DAVClient({ serverUrl: server.origin + server.root, credentials: { username: 'alice', password: 'wrong' }, authMethod: 'Basic', defaultAccountType: 'caldav' });
  await assert.rejects(() => wrong.login());
});

step('make a calendar with a name and a colour, and list it', async () => {
  s.url = new URL(`ts-${randomUUID()}/`, s.home).href;
  const [answer] = await s.client.makeCalendar({
    url: s.url,
    props: { displayname: 'From Node & friends', [`${DAVNamespaceShort.CALDAV_APPLE}:calendar-color`]: '#00FF00FF' },
  });
  assert.ok(answer.ok, `status ${answer.status}`);
  s.calendar = await mine();
  assert.equal(s.calendar.displayName, 'From Node & friends');
  assert.equal(s.calendar.calendarColor, '#00FF00FF');
  assert.ok(s.calendar.components.includes('VEVENT') && s.calendar.ctag && s.calendar.syncToken);
  assert.ok(s.calendar.reports.includes('syncCollection'), JSON.stringify(s.calendar.reports));
});

step('create: 201 with an ETag; the same name again is refused', async () => {
  const create = () => s.client.createCalendarObject({ calendar: s.calendar, filename: 'a.ics', iCalString: event('ts-a', 'First') });
  const answer = await create();
  assert.equal(answer.status, 201);
  assert.ok(answer.headers.get('etag'));
  assert.equal((await create()).status, 412);
});

step('read: list, one object, a time range, multiget', async () => {
  const [object] = await objects();
  assert.ok(object.etag && object.data.includes('SUMMARY:First'));
  assert.equal((await objects({ objectUrls: [object.url] })).length, 1);
  assert.equal((await objects({ timeRange: { start: '2030-11-04T00:00:00Z', end: '2030-11-05T00:00:00Z' } })).length, 1);
  assert.equal((await objects({ timeRange: { start: '2030-11-05T00:00:00Z', end: '2030-11-06T00:00:00Z' } })).length, 0);
  s.object = object;
});

step('update with the ETag, then conflict with the old one', async () => {
  const update = (summary) => s.client.updateCalendarObject({ calendarObject: { ...s.object, data: event('ts-a', summary) } });
  assert.ok((await update('Second')).ok);
  assert.equal((await update('Third')).status, 412);
  assert.ok((await data('a.ics')).includes('SUMMARY:Second'));
});

step('a series with one moved and one deleted instance comes back as it went, and expands right', async () => {
  const override = ['BEGIN:VEVENT', 'UID:ts-series', 'DTSTAMP:20301101T000000Z', 'RECURRENCE-ID:20301112T090000Z',
    'DTSTART:20301112T150000Z', 'DURATION:PT1H', 'SUMMARY:Moved', 'END:VEVENT', 'END:VCALENDAR'].join('\r\n');
  const text = event('ts-series', 'Series', '20301111T090000Z', 'RRULE:FREQ=DAILY;COUNT=4\nEXDATE:20301113T090000Z')
    .replace('END:VCALENDAR', override);
  assert.equal((await s.client.createCalendarObject({ calendar: s.calendar, filename: 'series.ics', iCalString: text })).status, 201);
  assert.equal((await data('series.ics')).replace(/\r?\n/g, '\n').trim(), text.replace(/\r\n/g, '\n').trim());
  const expanded = await objects({ expand: true, timeRange: { start: '2030-11-11T00:00:00Z', end: '2030-11-16T00:00:00Z' } });
  const starts = expanded.flatMap((o) => [...o.data.matchAll(/^DTSTART[^:]*:(\S+)/gm)].map((m) => m[1])).sort();
  assert.deepEqual(starts, ['20301111T090000Z', '20301112T150000Z', '20301114T090000Z']);
});

step('delta sync: additions, changes and removals since a token', async () => {
  const before = (await mine()).syncToken;
  const collection = () => s.client.syncCollection({
    url: s.url, props: { [`${DAVNamespaceShort.DAV}:getetag`]: {} }, syncLevel: 1, syncToken: before,
  });
  const names = (answers) => answers.filter((a) => a.href?.endsWith('.ics')).map((a) => `${a.href.split('/').pop()} ${a.status === 404 ? 'gone' : 'here'}`).sort();
  assert.deepEqual(names(await collection()), []);
  await s.client.createCalendarObject({ calendar: s.calendar, filename: 'b.ics', iCalString: event('ts-b', 'B') });
  const [gone] = (await objects()).filter((o) => o.url.endsWith('/a.ics'));
  assert.ok((await s.client.deleteCalendarObject({ calendarObject: gone })).ok);
  assert.deepEqual(names(await collection()), ['a.ics gone', 'b.ics here']);
});

step('smart sync of a collection: created, updated and deleted objects', async () => {
  const calendar = await mine();
  const known = await objects();
  await s.client.createCalendarObject({ calendar: s.calendar, filename: 'c.ics', iCalString: event('ts-c', 'C') });
  const b = known.find((o) => o.url.endsWith('/b.ics'));
  await s.client.updateCalendarObject({ calendarObject: { ...b, data: event('ts-b', 'B changed') } });
  const series = known.find((o) => o.url.endsWith('/series.ics'));
  await s.client.deleteCalendarObject({ calendarObject: series });
  const synced = await s.client.smartCollectionSync({
    collection: { ...calendar, objects: known, objectMultiGet: (options) => s.client.calendarMultiGet(options) }, method: 'webdav', detailedResult: true,
  });
  const names = (list) => list.map((o) => o.url.split('/').pop());
  assert.deepEqual([names(synced.objects.created), names(synced.objects.updated), names(synced.objects.deleted)], [['c.ics'], ['b.ics'], ['series.ics']]);
  assert.notEqual(synced.syncToken, calendar.syncToken);
});

step('the ctag tells that a collection changed', async () => {
  const old = await mine();
  await s.client.createCalendarObject({ calendar: s.calendar, filename: 'd.ics', iCalString: event('ts-d', 'D') });
  const answer = await s.client.isCollectionDirty({ collection: old });
  assert.equal(answer.isDirty, true);
  assert.equal((await s.client.isCollectionDirty({ collection: await mine() })).isDirty, false);
});

step('free-busy query', async () => {
  const answer = await s.client.freeBusyQuery({ url: s.url, timeRange: { start: '2030-11-04T00:00:00Z', end: '2030-11-05T00:00:00Z' } });
  assert.match(JSON.stringify(answer), /20301104T090000Z/);
});

step('delete the calendar', async () => {
  assert.ok((await s.client.deleteObject({ url: s.url })).ok);
  assert.equal(await mine(), undefined);
});

for (const { name, run } of steps) {
  try {
    await run();
    console.log(JSON.stringify({ name, ok: true, note: '' }));
  } catch (error) {
    console.log(JSON.stringify({ name, ok: false, note: String(error.stack ?? error).slice(0, 900) }));
  }
}
