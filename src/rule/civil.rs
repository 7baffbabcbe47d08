//! The proleptic Gregorian calendar in whole numbers: days from 1970-01-01, seconds from its midnight.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

/// Seconds in a day.
pub const DAY: i64 = 86_400;
/// The first local second of the year 1, the earliest we compute with.
pub const FIRST: i64 = -719_162 * DAY;
/// The last local second of the year 9999, the latest we compute with.
pub const LAST: i64 = 2_932_897 * DAY - 1;

/// The days from 1970-01-01 to the `day`th of `month` (1 to 12) in `year`.
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    // The year is taken to begin in March, so that the leap day is its last.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of the month of the day numbered `day`.
pub fn civil(day: i64) -> (i64, u32, u32) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = (month_from_march as u32 + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_month)
}

/// The weekday of a day: Monday is 0, Sunday 6.
pub fn weekday(day: i64) -> u32 {
    (day + 3).rem_euclid(7) as u32
}

/// Whether `year` has a 29th of February.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// How many days `month` (1 to 12) has in `year`.
pub fn month_len(year: i64, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The day number of `date`.
pub fn day_of(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - 719_163
}

/// The local second that `naive` names.
pub fn second_of(naive: NaiveDateTime) -> i64 {
    naive.and_utc().timestamp()
}

/// The date and time that the local second `second` names; held between the years 1 and 9999.
pub fn naive(second: i64) -> NaiveDateTime {
    DateTime::from_timestamp(second.clamp(FIRST, LAST), 0)
        .expect("the years 1 to 9999 are in chrono's range")
        .naive_utc()
}

/// The date of the day numbered `day`; held between the years 1 and 9999.
pub fn date(day: i64) -> NaiveDate {
    naive(day.clamp(FIRST / DAY, LAST / DAY) * DAY).date()
}
