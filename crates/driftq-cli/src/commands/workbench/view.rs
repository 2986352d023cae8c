//! How the workbench looks: the letters, the one that is looked at, and a line that says something.

use driftq_client::api::{AttemptRecord, DeadLetterDetail};
use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Margin, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span, Text},
    widgets::{Block, Clear, List, ListItem, ListState, Paragraph, Wrap},
};

use super::{
    super::dlq::said,
    desk::{Above, Desk, KEYS, Side},
};
use crate::{
    editor::pretty,
    text::{moment, span, visible, visible_lines},
};

const HINT: &str = "j/k move  Tab attempts  r redrive  e edit  d discard  R refresh  ? help  q leave";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, desk: &Desk) {
    let rows = Layout::vertical([Constraint::Min(3), Constraint::Length(1), Constraint::Length(1)]);
    let [body, said, hint] = rows.areas(frame.area());
    let columns = Layout::horizontal([Constraint::Percentage(38), Constraint::Percentage(62)]);
    let [left, right] = columns.areas(body);
    letters(frame, left, desk);
    letter(frame, right, desk);
    frame.render_widget(Paragraph::new(desk.said.as_str()).style(painted(Color::Yellow)), said);
    frame.render_widget(Paragraph::new(HINT).style(Style::new().add_modifier(Modifier::DIM)), hint);
    match &desk.above {
        Above::Nothing => {}
        Above::Help => help(frame),
        Above::Question(question, _) => over(frame, "Sure?", Text::from(visible(question))),
    }
}

/// A colour, unless nobody wants any.
fn painted(color: Color) -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if unwanted { Style::new() } else { Style::new().fg(color) }
}

fn letters(frame: &mut Frame<'_>, area: Rect, desk: &Desk) {
    let items = desk.letters.iter().map(|letter| {
        let error = visible(&letter.last_error);
        let head =
            format!("{}/{}/{}", letter.original_topic, letter.original_partition, letter.original_offset);
        ListItem::new(Text::from(vec![
            Line::from(vec![
                Span::styled(visible(&head), Style::new().add_modifier(Modifier::BOLD)),
                Span::raw(format!("  {}  {}x", visible(&letter.group), letter.attempts)),
            ]),
            Line::styled(format!("  {error}"), painted(Color::Red)),
        ]))
    });
    let title = format!(" Dead letters: {} ", desk.letters.len());
    let list = List::new(items)
        .block(Block::bordered().title(title))
        .highlight_symbol("> ")
        .highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let selected = (!desk.letters.is_empty()).then_some(desk.selected);
    frame.render_stateful_widget(list, area, &mut ListState::default().with_selected(selected));
}

fn letter(frame: &mut Frame<'_>, area: Rect, desk: &Desk) {
    let (title, text) = match (desk.detail(), desk.letters.is_empty()) {
        (_, true) => (" Nothing here ", Text::from("no dead letter is open")),
        (None, false) => (" … ", Text::default()),
        (Some(Err(error)), false) => (" Gone ", Text::from(visible(&error.to_string()))),
        (Some(Ok(letter)), false) => match desk.side {
            Side::Letter => (" Letter ", whole(letter)),
            Side::Attempts => return attempts(frame, area, letter, desk),
        },
    };
    let block = Block::bordered().title(title);
    let shown = Paragraph::new(text).wrap(Wrap { trim: false }).scroll((desk.scroll, 0)).block(block);
    frame.render_widget(shown, area);
}

/// What is known about a letter, and its value.
fn whole(letter: &DeadLetterDetail) -> Text<'static> {
    let fact = |name: &str, value: String| {
        Line::from(vec![
            Span::styled(format!("{name:<12}"), Style::new().add_modifier(Modifier::DIM)),
            Span::raw(visible(&value)),
        ])
    };
    let mut lines = vec![
        fact("address", format!("{}/{}/{}", letter.topic, letter.partition, letter.offset)),
        fact("reason", letter.reason.clone()),
        fact("when", moment(letter.routed_at_ms)),
    ];
    lines.extend(letter.run_id.clone().map(|run| fact("run", run)));
    lines.extend((!letter.key.is_empty()).then(|| fact("key", letter.key.clone())));
    lines.extend(letter.headers.iter().map(|(name, value)| fact("header", format!("{name}: {value}"))));
    lines.push(fact("fingerprint", letter.fingerprint.clone()));
    lines.push(Line::default());
    lines.extend(visible_lines(&pretty(&letter.value)).lines().map(|line| Line::from(line.to_owned())));
    Text::from(lines)
}

/// Two attempts side by side.
fn attempts(frame: &mut Frame<'_>, area: Rect, letter: &DeadLetterDetail, desk: &Desk) {
    let (a, b) = desk.compared(letter.history.len());
    let halves = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]);
    let [left, right] = halves.areas(area);
    for (area, key, one, other) in [(left, "a", a, b), (right, "b", b, a)] {
        let Some(attempt) = letter.history.get(one) else { continue };
        let beside = letter.history.get(other).unwrap_or(attempt);
        let title = format!(" {key}: attempt {} of {} ", attempt.attempt, letter.attempts);
        let shown = Paragraph::new(side(attempt, beside))
            .wrap(Wrap { trim: false })
            .scroll((desk.scroll, 0))
            .block(Block::bordered().title(title));
        frame.render_widget(shown, area);
    }
}

/// One attempt; what the other one has otherwise stands out.
fn side(attempt: &AttemptRecord, other: &AttemptRecord) -> Text<'static> {
    let took = |attempt: &AttemptRecord| span(attempt.ended_at_ms.saturating_sub(attempt.started_at_ms));
    let version = |attempt: &AttemptRecord| attempt.worker_version.clone().unwrap_or_default();
    let rows = [
        ("owner", attempt.owner.clone(), other.owner.clone()),
        ("version", version(attempt), version(other)),
        ("started", moment(attempt.started_at_ms), moment(other.started_at_ms)),
        ("took", took(attempt), took(other)),
        ("reason", attempt.reason.clone(), other.reason.clone()),
        ("error", said(attempt), said(other)),
    ];
    let mut lines: Vec<_> = rows
        .into_iter()
        .filter(|(_, value, _)| !value.is_empty())
        .map(|(name, value, beside)| {
            let mark = if value == beside { Style::new() } else { painted(Color::Yellow) };
            Line::from(vec![
                Span::styled(format!("{name:<9}"), Style::new().add_modifier(Modifier::DIM)),
                Span::styled(visible(&value), mark),
            ])
        })
        .collect();
    if let Some(stack) = &attempt.error.stack {
        lines.push(Line::default());
        lines.extend(visible_lines(stack).lines().map(|line| Line::from(line.to_owned())));
    }
    Text::from(lines)
}

fn help(frame: &mut Frame<'_>) {
    let lines = KEYS.map(|(keys, what)| Line::from(format!("{keys:<15} {what}")));
    over(frame, "Keys", Text::from(lines.to_vec()));
}

/// A box in the middle.
fn over(frame: &mut Frame<'_>, title: &str, text: Text<'_>) {
    let width = u16::try_from(text.width()).unwrap_or(u16::MAX).saturating_add(4);
    let height = u16::try_from(text.height()).unwrap_or(u16::MAX).saturating_add(2);
    let area = frame.area().centered(Constraint::Length(width), Constraint::Length(height));
    let area = area.intersection(frame.area().inner(Margin::new(0, 0)));
    let block = Block::bordered().title(format!(" {title} ")).title_alignment(Alignment::Center);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text).block(block), area);
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use ratatui::{
        Terminal,
        backend::TestBackend,
        crossterm::event::{KeyCode, KeyEvent},
    };

    use super::{super::desk::Act, *};

    const WIDTH: u16 = 100;
    const HEIGHT: u16 = 16;

    fn letter(offset: u64) -> String {
        format!(
            r#"{{"topic":"dlq.orders","partition":0,"offset":{offset},"original_topic":"orders","original_partition":0,
            "original_offset":1{offset},"group":"billing","reason":"max_attempts","attempts":3,"last_error":"timeout\u001b[2J",
            "routed_at_ms":1764000000000,"key":"k","value":{{"n":1.50,"list":[1,2]}},"headers":{{"a":"b"}},"state":"open",
            "fingerprint":"0123456789abcdef","history":[
                {{"attempt":1,"owner":"w1","started_at_ms":1764000000000,"ended_at_ms":1764000001500,"reason":"error","error":{{"message":"boom","type":"ValueError"}}}},
                {{"attempt":2,"owner":"w1","started_at_ms":1764000002000,"ended_at_ms":1764000003500,"reason":"error","error":{{"message":"boom","type":"ValueError"}}}},
                {{"attempt":3,"owner":"w2","started_at_ms":1764000004000,"ended_at_ms":1764000004010,"reason":"lease_expired","error":{{"message":"timeout"}}}}]}}"#
        )
    }

    fn desk() -> Desk {
        let mut desk = Desk::default();
        let letters = [4, 5].map(|offset| serde_json::from_str(&letter(offset)).expect("it is a letter"));
        desk.lay_out(letters.to_vec());
        while let Some(id) = desk.unread() {
            let detail = serde_json::from_str(&letter(id.offset)).expect("it is a letter");
            desk.read(&id, Ok(detail));
        }
        desk
    }

    fn press(desk: &mut Desk, keys: &str) -> Option<Act> {
        let mut act = None;
        for key in keys.chars() {
            let code = if key == '\t' { KeyCode::Tab } else { KeyCode::Char(key) };
            act = desk.press(KeyEvent::from(code));
        }
        act
    }

    fn check(desk: &Desk, picture: Expect) {
        let mut terminal =
            Terminal::new(TestBackend::new(WIDTH, HEIGHT)).expect("it has no terminal to fail");
        terminal.draw(|frame| draw(frame, desk)).expect("nothing fails here");
        let buffer = terminal.backend().buffer().clone();
        let lines = (0..HEIGHT).map(|y| {
            let line: String = (0..WIDTH).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_owned() + "\n"
        });
        picture.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn letters_lie_beside_the_one_that_is_read() {
        check(
            &desk(),
            expect![[r#"
            ┌ Dead letters: 2 ───────────────────┐┌ Letter ────────────────────────────────────────────────────┐
            │> orders/0/14  billing  3x          ││address     dlq.orders/0/4                                  │
            │    timeout\u{1b}[2J                ││reason      max_attempts                                    │
            │  orders/0/15  billing  3x          ││when        2025-11-24T16:00:00Z                            │
            │    timeout\u{1b}[2J                ││key         k                                               │
            │                                    ││header      a: b                                            │
            │                                    ││fingerprint 0123456789abcdef                                │
            │                                    ││                                                            │
            │                                    ││{                                                           │
            │                                    ││  "n": 1.50,                                                │
            │                                    ││  "list": [                                                 │
            │                                    ││    1,                                                      │
            │                                    ││    2                                                       │
            └────────────────────────────────────┘└────────────────────────────────────────────────────────────┘

            j/k move  Tab attempts  r redrive  e edit  d discard  R refresh  ? help  q leave
        "#]],
        );
    }

    #[test]
    fn two_attempts_are_side_by_side_and_can_be_chosen() {
        let mut desk = desk();
        press(&mut desk, "\ta");
        check(
            &desk,
            expect![[r#"
            ┌ Dead letters: 2 ───────────────────┐┌ a: attempt 2 of 3 ──────────┐┌ b: attempt 3 of 3 ──────────┐
            │> orders/0/14  billing  3x          ││owner    w1                  ││owner    w2                  │
            │    timeout\u{1b}[2J                ││started  2025-11-24T16:00:02Z││started  2025-11-24T16:00:04Z│
            │  orders/0/15  billing  3x          ││took     1s 500ms            ││took     10ms                │
            │    timeout\u{1b}[2J                ││reason   error               ││reason   lease_expired       │
            │                                    ││error    ValueError: boom    ││error    timeout             │
            │                                    ││                             ││                             │
            │                                    ││                             ││                             │
            │                                    ││                             ││                             │
            │                                    ││                             ││                             │
            │                                    ││                             ││                             │
            │                                    ││                             ││                             │
            │                                    ││                             ││                             │
            └────────────────────────────────────┘└─────────────────────────────┘└─────────────────────────────┘

            j/k move  Tab attempts  r redrive  e edit  d discard  R refresh  ? help  q leave
        "#]],
        );
    }

    #[test]
    fn what_changes_something_is_asked_about_and_only_a_yes_does_it() {
        let mut desk = desk();
        assert_eq!(press(&mut desk, "jd"), None);
        check(
            &desk,
            expect![[r#"
            ┌ Dead letters: 2 ───────────────────┐┌ … ─────────────────────────────────────────────────────────┐
            │  orders/0/14  billing  3x          ││                                                            │
            │    timeout\u{1b}[2J                ││                                                            │
            │> orders/0/15  billing  3x          ││                                                            │
            │    timeout\u{1b}[2J                ││                                                            │
            │                                    ││                                                            │
            │                                    ││                                                            │
            │                                 ┌──────────── Sure? ────────────┐                                │
            │                                 │Give up dlq.orders/0/5? [y/N]  │                                │
            │                                 └───────────────────────────────┘                                │
            │                                    ││                                                            │
            │                                    ││                                                            │
            │                                    ││                                                            │
            └────────────────────────────────────┘└────────────────────────────────────────────────────────────┘

            j/k move  Tab attempts  r redrive  e edit  d discard  R refresh  ? help  q leave
        "#]],
        );
        assert_eq!(press(&mut desk, "n"), None);
        assert_eq!(desk.said, "nothing was done");
        let id = driftq_client::DeadLetterId { topic: "dlq.orders".into(), partition: 0, offset: 5 };
        assert_eq!(press(&mut desk, "dy"), Some(Act::Discard(id.clone())));
        assert_eq!(press(&mut desk, "ry"), Some(Act::Redrive(id.clone())));
        assert_eq!(press(&mut desk, "e"), Some(Act::Edit(id.clone())));
        desk.closed(&id, Ok("discarded".to_owned()));
        assert_eq!((desk.letters.len(), desk.selected), (1, 0));
        assert_eq!(desk.said, "dlq.orders/0/5 discarded");
    }

    #[test]
    fn help_shows_every_key_and_any_key_takes_it_away() {
        let mut desk = desk();
        press(&mut desk, "?");
        check(
            &desk,
            expect![[r#"
            ┌ Dead letters: 2 ───────────────────┐┌ Letter ────────────────────────────────────────────────────┐
            │> orders/0/14  billing  3x          ││address     dlq.orders/0/4                                  │
            │    timeout\u{1b}[2J  ┌─────────────────────── Keys ────────────────────────┐                     │
            │  orders/0/15  billing│j k, arrows     the next one, the one before         │                     │
            │    timeout\u{1b}[2J  │J K, PgDn PgUp  read on, read back                   │                     │
            │                      │Tab             value, attempts side by side         │                     │
            │                      │a b             which attempts are side by side      │                     │
            │                      │r               redrive it as it is                  │                     │
            │                      │e               edit it in $EDITOR, then redrive it  │                     │
            │                      │d               discard it                           │                     │
            │                      │R               ask the server anew                  │                     │
            │                      │?               this help                            │                     │
            │                      │q, Esc          leave                                │                     │
            └──────────────────────└─────────────────────────────────────────────────────┘─────────────────────┘

            j/k move  Tab attempts  r redrive  e edit  d discard  R refresh  ? help  q leave
        "#]],
        );
        assert_eq!(press(&mut desk, "q"), None, "it takes the help away");
        assert_eq!(press(&mut desk, "q"), Some(Act::Leave));
    }

    #[test]
    fn an_empty_desk_and_a_small_terminal_are_drawn() {
        let mut empty = Desk::default();
        assert_eq!(press(&mut empty, "jkredab\t"), None);
        let mut terminal = Terminal::new(TestBackend::new(10, 3)).expect("it has no terminal to fail");
        terminal.draw(|frame| draw(frame, &empty)).expect("nothing fails here");
        let mut full = desk();
        press(&mut full, "?");
        terminal.draw(|frame| draw(frame, &full)).expect("nothing fails here");
    }
}
