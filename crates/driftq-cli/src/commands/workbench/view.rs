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
