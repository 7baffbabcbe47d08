//! XML: bombs, entities, depth, namespaces and attributes by the thousand, broken encodings.

use super::server::{CALENDAR, Case, Want, request};

/// Methods that read a body, and where to.
const READERS: &[(&str, &str)] = &[
    ("PROPFIND", CALENDAR),
    ("REPORT", CALENDAR),
    ("PROPPATCH", "/dav/calendars/mallory/default/"),
    ("MKCALENDAR", "/dav/calendars/mallory/new/"),
    ("LOCK", "/dav/files/mallory/locked"),
    ("ACL", CALENDAR),
];

fn utf16(text: &str, little: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn bomb(levels: usize, width: usize) -> String {
    let mut text = String::from("<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY l0 \"lol\">");
    for level in 1..levels {
        let inside = format!("&l{};", level - 1).repeat(width);
        text.push_str(&format!("<!ENTITY l{level} \"{inside}\">"));
    }
    text + &format!("]><D:propfind xmlns:D=\"DAV:\"><D:prop><D:x>&l{};</D:x></D:prop></D:propfind>", levels - 1)
}

fn around(inside: &str) -> Vec<u8> {
    format!("<D:propfind xmlns:D=\"DAV:\"><D:prop>{inside}</D:prop></D:propfind>").into_bytes()
}

fn with(before: &[u8], broken: &[u8]) -> Vec<u8> {
    [before, b"<D:propfind xmlns:D=\"DAV:\"><D:prop><D:x>", broken, b"</D:x></D:prop></D:propfind>"].concat()
}

/// Documents that must be refused whatever they are sent for.
fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |depth: usize| format!("{}{}", "<D:a xmlns:D=\"DAV:\">".repeat(depth), "</D:a>".repeat(depth));
    let many = |count: usize, one: fn(usize) -> String| (0..count).map(one).collect::<String>();
    let valid = "<D:propfind xmlns:D=\"DAV:\"><D:allprop/></D:propfind>";
    let external = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>";
    let fetched = "<!DOCTYPE a SYSTEM \"http://127.0.0.1:1/evil.dtd\"><a/>";
    let parameter = "<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1:1/\"> %x;]><a/>";
    let quadratic = format!("<!DOCTYPE a [<!ENTITY x \"{}\">]><a>{}</a>", "x".repeat(50_000), "&x;".repeat(50_000));
    let attributes = |n| format!("<a {}/>", many(n, |i| format!("a{i}=\"\" ")));
    let namespaces = |n| format!("<a {}/>", many(n, |i| format!("xmlns:n{i}=\"urn:{i}\" ")));
    let levels = format!("{}{}", many(2_000, |i| format!("<a xmlns:n{i}=\"urn:{i}\">")), "</a>".repeat(2_000));
    vec![
        ("laughs", bomb(10, 10).into_bytes()),
        ("laughs, deep", bomb(100, 2).into_bytes()),
        ("laughs, wide", bomb(3, 10_000).into_bytes()),
        ("quadratic", quadratic.into_bytes()),
        ("external entity", external.into()),
        ("external DTD", fetched.into()),
        ("parameter entity", parameter.into()),
        ("empty DTD", format!("<!DOCTYPE a []>{valid}").into_bytes()),
        ("self-referring entity", "<!DOCTYPE a [<!ENTITY a \"&a;\">]><a>&a;</a>".into()),
        ("unknown entity", around("<D:x>&nbsp;</D:x>")),
        ("depth 65", nested(65).into_bytes()),
        ("depth 10000", nested(10_000).into_bytes()),
        ("depth 500000, never closed", "<a>".repeat(500_000).into_bytes()),
        ("elements", around(&"<D:x/>".repeat(150_000))),
        ("attributes 257", attributes(257).into_bytes()),
        ("attributes 100000", attributes(100_000).into_bytes()),
        (
            "attributes by the hundred, by the thousand",
            around(&format!("<D:x {}/>", many(250, |i| format!("a{i}=\"\" "))).repeat(5_000)),
        ),
        ("namespace declared twice", "<a xmlns:b=\"u\" xmlns:b=\"u\"/>".into()),
        ("namespaces 257", namespaces(257).into_bytes()),
        ("namespaces 50000", namespaces(50_000).into_bytes()),
        ("a namespace a level", levels.into_bytes()),
        ("long namespace", format!("<a xmlns=\"{}\"/>", "x".repeat(1_000_000)).into_bytes()),
        ("undeclared prefix", "<Q:propfind/>".into()),
        ("undeclared prefix of an attribute", "<a Q:b=\"\"/>".into()),
        ("empty prefix declaration", "<a xmlns:b=\"\"/>".into()),
        ("xml for another namespace", "<xmlns:a xmlns:xmlns=\"DAV:\"/>".into()),
        ("attribute twice", "<a b=\"\" b=\"\"/>".into()),
        ("attribute twice by namespace", "<a xmlns:x=\"u\" xmlns:y=\"u\" x:b=\"\" y:b=\"\"/>".into()),
        ("unclosed", "<D:propfind xmlns:D=\"DAV:\"><D:prop>".into()),
        ("wrongly closed", "<a><b></a></b>".into()),
        ("two roots", format!("{valid}{valid}").into_bytes()),
        ("text behind", format!("{valid}text").into_bytes()),
        ("text before", format!("text{valid}").into_bytes()),
        ("CDATA outside", format!("<![CDATA[x]]>{valid}").into_bytes()),
        ("CDATA unclosed", "<a><![CDATA[".into()),
        ("comment unclosed", "<a><!-- ".into()),
        ("comment with dashes", "<a><!-- -- --></a>".into()),
        ("tag unclosed", "<a b=".into()),
        ("attribute without quotes", "<a b=c/>".into()),
        ("not XML", "{\"json\": true}".into()),
        ("HTML", "<html><body><br></body></html>".into()),
        ("XML 2.0", format!("<?xml version=\"2.0\"?>{valid}").into_bytes()),
        ("declaration inside", format!("<a><?xml version=\"1.0\"?>{valid}</a>").into_bytes()),
        ("NUL", with(b"", b"a\0b")),
        ("control characters", with(b"", b"a\x01\x08\x1fb")),
        ("reference to NUL", with(b"", b"&#0;")),
        ("reference to a control character", with(b"", b"&#x1;")),
        ("reference to a surrogate", with(b"", b"&#xD800;")),
        ("reference beyond Unicode", with(b"", b"&#x110000;")),
        ("reference of many digits", with(b"", format!("&#{};", "9".repeat(100_000)).as_bytes())),
        ("reference unclosed", with(b"", b"&#x41")),
        ("UTF-8 overlong", with(b"", b"\xc0\xaf")),
        ("UTF-8 overlong NUL", with(b"", b"\xe0\x80\x80")),
        ("UTF-8 surrogate", with(b"", b"\xed\xa0\x80")),
        ("UTF-8 truncated", with(b"", b"\xe2\x82")),
        ("UTF-8 beyond Unicode", with(b"", b"\xf5\x80\x80\x80")),
        ("UTF-8 stray byte", with(b"", b"\xff")),
        ("UTF-8 broken in a name", b"<a\xff/>".to_vec()),
        ("UTF-8 truncated at the end", b"<a>\xc3".to_vec()),
        ("UTF-16 odd", [b"\xff\xfe".to_vec(), utf16(valid, true), b"<".to_vec()].concat()),
        ("UTF-16 lone surrogate", [&b"\xff\xfe"[..], &utf16("<a>", true), &[0, 0xd8], &utf16("</a>", true)].concat()),
        ("UTF-16 truncated", [&b"\xfe\xff"[..], &utf16("<a><b", false)].concat()),
        ("UTF-32", [b"\xff\xfe\0\0".to_vec(), valid.bytes().flat_map(|c| [c, 0, 0, 0]).collect()].concat()),
        ("encoding that nobody knows", format!("<?xml version=\"1.0\" encoding=\"x-evil\"?>{valid}").into_bytes()),
        ("bombs in a name", format!("<{} xmlns=\"DAV:\"/>", "a:".repeat(100_000)).into_bytes()),
    ]
}

/// Documents that may mean something.
fn taken() -> Vec<(&'static str, Vec<u8>)> {
    let valid = "<D:propfind xmlns:D=\"DAV:\"><D:allprop/></D:propfind>";
    vec![
        ("nothing", Vec::new()),
        ("blanks", b" \r\n\t ".repeat(10_000)),
        ("a BOM alone", b"\xef\xbb\xbf".to_vec()),
        ("UTF-16", [b"\xff\xfe".to_vec(), utf16(valid, true)].concat()),
        ("a million comments", format!("{}{valid}", "<!---->".repeat(1_000_000)).into_bytes()),
        ("processing instructions", format!("{}{valid}", "<?x y?>".repeat(200_000)).into_bytes()),
        ("stylesheet", format!("<?xml-stylesheet href=\"http://127.0.0.1:1/\"?>{valid}").into_bytes()),
        ("long text", around(&format!("<D:x>{}</D:x>", "x".repeat(8_000_000)))),
        ("long attribute", around(&format!("<D:x a=\"{}\"/>", "x".repeat(8_000_000)))),
        ("many references", around(&format!("<D:x>{}</D:x>", "&amp;".repeat(1_000_000)))),
        ("many pieces of CDATA", around(&format!("<D:x>{}</D:x>", "<![CDATA[x]]>".repeat(300_000)))),
        ("many properties", around(&(0..50_000).map(|i| format!("<D:x{i}/>")).collect::<String>())),
        ("one property again and again", around(&"<D:getetag/>".repeat(90_000))),
        ("XInclude", around("<x:include xmlns:x=\"http://www.w3.org/2001/XInclude\" href=\"file:///etc/passwd\"/>")),
        ("long names", around(&format!("<D:{}/>", "x".repeat(1_000_000)))),
        ("depth 60", around(&format!("{}{}", "<a>".repeat(60), "</a>".repeat(60)))),
    ]
}

pub fn cases() -> Vec<Case> {
    let one = |(method, path): &(&str, &str), name: &str, body: &[u8], want| Case {
        name: format!("{method}: {name}"),
        bytes: request(method, path, &[("Content-Type", "application/xml")], body),
        want,
    };
    let (refused, taken) = (refused(), taken());
    let refused = refused.iter().flat_map(|(name, body)| {
        let at = name.len() % READERS.len();
        // Each document goes to three of the methods, so that all of them have their share.
        (0..3).map(move |step| one(&READERS[(at + step) % READERS.len()], name, body, Want::Refusal))
    });
    let taken =
        taken.iter().flat_map(|(name, body)| READERS[..3].iter().map(move |to| one(to, name, body, Want::Answer)));
    refused.chain(taken).collect()
}
