use proptest::prelude::*;

use super::*;
use crate::base::Limits;

fn read(body: &str) -> Result<Element, XmlError> {
    parse(body.as_bytes(), &Limits::default())
}

#[test]
fn namespaces_are_resolved_and_prefixes_mean_nothing() {
    let a = read(r#"<propfind xmlns="DAV:"><prop><x:y xmlns:x="urn:x"/></prop></propfind>"#).unwrap();
    let b = read(
        "<?xml version=\"1.0\"?>\n<a:propfind xmlns:a='DAV:'><a:prop><y xmlns='urn:x'></y></a:prop></a:propfind>\n",
    )
    .unwrap();
    assert_eq!(a, b);
    assert!(a.is(ns::DAV, "propfind"));
    assert!(a.child(ns::DAV, "prop").unwrap().child("urn:x", "y").is_some());
}

#[test]
fn elements_without_a_namespace_have_none() {
    let root = read(r#"<propfind xmlns="DAV:"><prop><nonamespace xmlns=""/></prop></propfind>"#).unwrap();
    let name = &root.child(ns::DAV, "prop").unwrap().children().next().unwrap().name;
    assert_eq!(*name, Name::new("", "nonamespace"));
    assert_eq!(read(&Element::new("", "a").to_xml()).unwrap(), Element::new("", "a"));
}

#[test]
fn text_cdata_and_references_become_one_text() {
    let root = read("<a> x &lt;&amp;&gt;&quot;&apos;&#13;&#x41;<![CDATA[<&]]>\r\n</a>").unwrap();
    assert_eq!(root.nodes, vec![Node::Text(" x <&>\"'\rA<&\n".to_owned())]);
}

#[test]
fn comments_and_processing_instructions_are_passed_over() {
    let root = read("<!-- a --><?b c?><a><!-- b -->x<?c d?>y</a><!-- c -->").unwrap();
    assert_eq!(root.text(), "xy");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let bad = [
        "",
        "   ",
        "text",
        "<a>",
        "<a><b></a></b>",
        "<a></b>",
        "</a>",
        "<a/><b/>",
        "<a/>text",
        "text<a/>",
        "<a/>&amp;",
        "<a/><![CDATA[x]]>",
        "<p:a/>",
        "<a p:b='c'/>",
        "<a b='1' b='2'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:p=''><p:b/></a>",
        "<a xmlns:xmlns='urn:x'/>",
        "<xmlns:a/>",
        "<a>\u{1}</a>",
        "<a>&#1;</a>",
        "<a b='&#2;'/>",
        "<a>\u{FFFF}</a>",
        "<a>&b;</a>",
        "<a b='&c;'/>",
        "<a>&</a>",
        "<a>& b</a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<1/>",
        "<a\"/>",
        "<a<b/>",
        "<a:b:c xmlns:a='u'/>",
        "<a b/>",
        "<a b=c/>",
        "<a b='c/>",
        "<a><?xml version='1.0'?></a>",
        " <?xml version='1.0'?><a/>",
        "<?xml version='1.0' encoding='ebcdic'?><a/>",
        "<a><!-- -- --></a>",
        "<a><![CDATA[x</a>",
        "<a><!-- x</a>",
    ];
    for body in bad {
        assert!(read(body).is_err(), "{body:?} was taken as {:?}", read(body));
    }
}

#[test]
fn depth_elements_attributes_and_namespaces_are_bounded() {
    let limits = Limits { xml_depth_max: 3, xml_elements_max: 5, xml_attributes_max: 2, ..Limits::default() };
    let read = |body: &str| parse(body.as_bytes(), &limits);
    assert!(read("<a><a><a/></a></a>").is_ok());
    assert!(read("<a><a><a><a/></a></a></a>").is_err());
    assert!(read("<a><b/><b/><b/><b/></a>").is_ok());
    assert!(read("<a><b/><b/><b/><b/><b/></a>").is_err());
    assert!(read("<a b='1' c='1'/>").is_ok());
    assert!(read("<a b='1' c='1' d='1'/>").is_err());
    assert!(read("<a><b c='1' d='1'/><b c='1' d='1'/><b c='1'/></a>").is_ok());
    assert!(read("<a><b c='1' d='1'/><b c='1' d='1'/><b c='1' d='1'/></a>").is_err());
    assert!(read(&format!("<a xmlns='{}'/>", "u".repeat(10_000))).is_err());
    assert!(read(&"<a>".repeat(1_000_000)).is_err());
}

#[test]
fn encodings_by_mark_and_by_declaration() {
    let utf16 = |unit: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let declared = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>\u{E9}\u{1F4C5}</a>";
    let bodies = [
        b"\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><a>\xC3\xA9\xF0\x9F\x93\x85</a>".to_vec(),
        utf16(u16::to_le_bytes, &format!("\u{FEFF}{declared}")),
        utf16(u16::to_be_bytes, &format!("\u{FEFF}{declared}")),
        utf16(u16::to_le_bytes, declared),
        utf16(u16::to_be_bytes, declared),
    ];
    for body in bodies {
        assert_eq!(parse(&body, &Limits::default()).unwrap().text(), "\u{E9}\u{1F4C5}");
    }
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
    assert_eq!(parse(latin, &Limits::default()).unwrap().text(), "\u{E9}");
    assert!(parse(b"<a>\xE9</a>", &Limits::default()).is_err());
    assert!(parse(b"\xFF\xFE<\0a\0/", &Limits::default()).is_err());
    assert!(parse(b"\xFF\xFE\x00\xD8<\0", &Limits::default()).is_err());
}

#[test]
fn language_and_foreign_attributes_are_kept() {
    let body =
        r#"<p:v xmlns:p="urn:p" xmlns:q="urn:q&amp;r" xml:lang="de" q:w="a&#10;b" z="1 &lt; 2">t<q:u/> &#13;</p:v>"#;
    let element = read(body).unwrap();
    assert_eq!(element.lang(), Some("de"));
    assert_eq!(element.attribute_in("urn:q&r", "w"), Some("a\nb"));
    assert_eq!(element.attribute("z"), Some("1 < 2"));
    assert_eq!(read(&element.to_xml()).unwrap(), element);
}

#[test]
fn a_language_is_inherited_only_where_none_is_declared() {
    let mut element = read("<a/>").unwrap();
    element.inherit_lang(None);
    assert_eq!(element.lang(), None);
    element.inherit_lang(Some("en"));
    element.inherit_lang(Some("fr"));
    assert_eq!(element.lang(), Some("en"));
    assert_eq!(element.to_xml(), "<a xml:lang=\"en\"/>");
}

#[test]
fn the_writer_escapes_and_closes() {
    let mut writer = Writer::document(ns::DAV, "multistatus");
    writer.open(ns::DAV, "response").element(ns::DAV, "href", "/a&b");
    writer.element(ns::CALDAV, "calendar-data", "BEGIN:VCALENDAR\r\n<\u{0}\u{7}\u{FFFE}]]>");
    writer.open("urn:x\"", "y").attribute("z", "1\t\"2\"").empty("", "plain").close();
    let first = writer.take();
    writer.raw(&Element::new("urn:r", "raw").to_xml());
    let text = String::from_utf8([first, writer.finish()].concat()).unwrap();
    assert!(text.contains("<C:calendar-data>BEGIN:VCALENDAR&#13;\n&lt;]]&gt;</C:calendar-data>"), "{text}");
    let root = read(&text).unwrap();
    let response = root.child(ns::DAV, "response").unwrap();
    assert_eq!(response.child(ns::DAV, "href").unwrap().text(), "/a&b");
    let y = response.child("urn:x\"", "y").unwrap();
    assert_eq!(y.attribute("z"), Some("1\t\"2\""));
    assert!(y.child("", "plain").is_some());
    assert!(response.child("urn:r", "raw").is_some());
}

#[test]
fn what_was_written_since_a_mark_can_be_forgotten() {
    let mut writer = Writer::document(ns::DAV, "a");
    writer.open(ns::DAV, "b");
    let mark = writer.mark();
    writer.open("urn:x", "c").text("d");
    writer.rewind(mark);
    writer.attribute("e", "f").close();
    assert!(String::from_utf8(writer.finish()).unwrap().ends_with("><D:b e=\"f\"/></D:a>"));
}

#[test]
fn empty_elements_are_short() {
    let mut writer = Writer::document(ns::DAV, "a");
    writer.element(ns::DAV, "b", "").raw("").text("");
    assert!(String::from_utf8(writer.finish()).unwrap().ends_with("><D:b/></D:a>"));
}

#[test]
fn more_namespaces_than_fit_in_scope_still_stand_for_themselves() {
    let mut root = Element::new("urn:0", "root");
    for i in 0..500 {
        let mut child = Element::new(&format!("urn:{i}"), "child");
        child.attributes.push((Name::new(&format!("urn:other:{i}"), "a"), "v".to_owned()));
        root.nodes.push(Node::Element(child));
    }
    assert_eq!(read(&root.to_xml()).unwrap(), root);
}

fn name() -> impl Strategy<Value = Name> {
    let ns = prop_oneof![
        Just(String::new()),
        Just(ns::DAV.to_owned()),
        Just(ns::CALDAV.to_owned()),
        "[a-z]{1,4}:[ -~\u{E9}]{0,6}",
    ];
    (ns, "[A-Za-z_\u{E9}][A-Za-z0-9._-]{0,6}").prop_map(|(ns, local)| Name { ns, local })
}

fn text() -> impl Strategy<Value = String> {
    "[ -~\t\r\n\u{E9}\u{4E2D}\u{1F4C5}]{1,12}"
}

fn element() -> impl Strategy<Value = Element> {
    let attributes = || prop::collection::btree_map(name(), text(), 0..3).prop_map(|map| map.into_iter().collect());
    let leaf = (name(), attributes()).prop_map(|(name, attributes)| Element { name, attributes, nodes: Vec::new() });
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let child = prop_oneof![inner.prop_map(Node::Element), text().prop_map(Node::Text)];
        (name(), attributes(), prop::collection::vec(child, 0..4)).prop_map(|(name, attributes, nodes)| Element {
            name,
            attributes,
            nodes: merged(nodes),
        })
    })
}

/// Neighbouring texts are one text: that is how a parser sees them.
fn merged(nodes: Vec<Node>) -> Vec<Node> {
    let mut all: Vec<Node> = Vec::new();
    for node in nodes {
        match (all.last_mut(), node) {
            (Some(Node::Text(before)), Node::Text(text)) => before.push_str(&text),
            (_, node) => all.push(node),
        }
    }
    all
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(element in element()) {
        prop_assert_eq!(parse(element.to_xml().as_bytes(), &Limits::default()), Ok(element));
    }

    #[test]
    fn a_stored_element_stands_for_itself_inside_any_answer(element in element()) {
        let mut writer = Writer::document(ns::DAV, "prop");
        writer.raw(&element.to_xml());
        let root = parse(&writer.finish(), &Limits::default()).unwrap();
        prop_assert_eq!(root.children().next(), Some(&element));
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body, &Limits::default());
    }

    #[test]
    fn nothing_that_looks_like_xml_makes_it_panic(body in "(<[a-z/!?:= '\"\\[&;#-]{0,12}>|[a-z&;#<>]|\u{E9}){0,30}") {
        if let Ok(element) = read(&body) {
            prop_assert_eq!(read(&element.to_xml()), Ok(element));
        }
    }

    #[test]
    fn a_comment_is_read_by_nobody(text in any::<String>(), hyphens in "[-> !<]{0,8}") {
        let mut writer = Writer::document(ns::DAV, "error");
        writer.empty(ns::DAV, "supported-report");
        let document = writer.finish_with_comment(&format!("{hyphens}{text}{hyphens}"));
        let root = parse(&document, &Limits::default()).unwrap();
        prop_assert_eq!(root.nodes.len(), 1);
    }

    #[test]
    fn any_text_survives_but_for_what_xml_cannot_carry(text in any::<String>()) {
        let mut writer = Writer::document(ns::DAV, "a");
        writer.open(ns::DAV, "b").attribute("c", &text).text(&text).close();
        let root = parse(&writer.finish(), &Limits::default()).unwrap();
        let b = root.child(ns::DAV, "b").unwrap();
        let carried: String = text.chars().filter(|c| super::decode::allowed(*c)).collect();
        prop_assert_eq!(b.text(), carried.clone());
        prop_assert_eq!(b.attribute("c"), Some(carried.as_str()));
    }
}
