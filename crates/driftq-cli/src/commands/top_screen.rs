//! `driftq top` on a terminal.

use std::time::{Duration, Instant};

use ratatui::{
    Frame,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::Line,
    widgets::{Block, Cell, Paragraph, Row, Table},
};

use super::{
    screen::Screen,
    top::{Rates, Sample},
};
use crate::{
    Context, Outcome,
    args::TopArgs,
    error::CliError,
    text::{bytes, span, visible},
};

/// The longest time a key waits for its effect.
const TICK: Duration = Duration::from_millis(100);

/// What the screen shows.
#[derive(Default)]
pub(super) struct Picture {
    pub(super) sample: Option<Sample>,
    pub(super) rates: Rates,
    /// Why the last question had no answer.
    pub(super) trouble: Option<String>,
}

pub(super) async fn run(args: TopArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut picture = Picture::default();
    // The first answer is waited for: a wrong address is a sentence, not an empty screen.
    picture.take(Sample::take(&context.client, args.limit).await?);
    let mut screen = Screen::open()?;
    loop {
        screen.draw(|frame| draw(frame, &picture))?;
        if is_left(args.interval)? {
            return Ok(Outcome::Good);
        }
        match Sample::take(&context.client, args.limit).await {
            Ok(sample) => picture.take(sample),
            Err(error) => picture.trouble = Some(error.to_string()),
        }
    }
}

/// Waits for the next question, or for somebody to leave.
fn is_left(interval: Duration) -> Result<bool, CliError> {
    let next = Instant::now() + interval;
    while let Some(left) = next.checked_duration_since(Instant::now()) {
        if !event::poll(left.min(TICK)).map_err(CliError::Output)? {
            continue;
        }
        let Event::Key(key) = event::read().map_err(CliError::Output)? else { continue };
        let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if key.kind == KeyEventKind::Press
            && (is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Picture {
    /// Keeps an answer, and how fast it went since the one before.
    pub(super) fn take(&mut self, sample: Sample) {
        if let Some(before) = &self.sample {
            self.rates = sample.rates(before);
        }
        (self.sample, self.trouble) = (Some(sample), None);
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let Some(sample) = &picture.sample else { return };
    let rows = Layout::vertical([
        Constraint::Length(5),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ]);
    let [head, groups, topics, hint] = rows.areas(frame.area());
    frame.render_widget(Paragraph::new(totals(sample, &picture.rates)).block(Block::bordered()), head);
    draw_groups(frame, groups, sample);
    draw_topics(frame, topics, sample, &picture.rates);
    let last = picture.trouble.as_deref().map_or_else(|| "q leaves".to_owned(), visible);
    frame.render_widget(Paragraph::new(last).style(Style::new().add_modifier(Modifier::DIM)), hint);
}

fn totals(sample: &Sample, rates: &Rates) -> Vec<Line<'static>> {
    let stats = &sample.stats;
    let runs = &stats.runs;
    vec![
        Line::from(format!(
            "driftqd {}  up {}  {} topics  {} groups  {} consumers  log {}",
            visible(&stats.version),
            span(stats.uptime_ms / 1_000 * 1_000),
            stats.topics,
            stats.groups,
            stats.consumers,
            bytes(stats.log.bytes)
        )),
        Line::from(format!(
            "produced {:.0}/s  delivered {:.0}/s  acked {:.0}/s  nacked {:.0}/s  in flight {}",
            rates.produced, rates.delivered, rates.acked, rates.nacked, stats.in_flight
        )),
        Line::from(format!(
            "runs: {} queued  {} running  {} retrying  {} waiting  {} failed    dead letters: {}",
            runs.queued, runs.running, runs.retrying, runs.waiting, runs.failed, stats.dead_letters_open
        )),
    ]
}

fn draw_groups(frame: &mut Frame<'_>, area: Rect, sample: &Sample) {
    let rows = sample.groups.iter().map(|group| {
        let is_left_alone = group.consumers == 0 && group.lag > 0;
        let style = if is_left_alone { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        Row::new([
            Cell::from(visible(&group.topic)),
            Cell::from(visible(&group.group)),
            Cell::from(group.lag.to_string()),
            Cell::from(group.in_flight.to_string()),
            Cell::from(group.waiting.to_string()),
            Cell::from(group.consumers.to_string()),
        ])
        .style(style)
    });
    let widths = [
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(10),
    ];
    let head = Row::new(["TOPIC", "GROUP", "LAG", "IN FLIGHT", "WAITING", "CONSUMERS"]);
    let table = Table::new(rows, widths).header(head).block(Block::bordered().title(" Groups "));
    frame.render_widget(table, area);
}

fn draw_topics(frame: &mut Frame<'_>, area: Rect, sample: &Sample, rates: &Rates) {
    let rows = sample.topics.iter().map(|topic| {
        let rate = rates.topics.get(&topic.name).copied().unwrap_or_default();
        Row::new([
            Cell::from(visible(&topic.name)),
            Cell::from(topic.messages.to_string()),
            Cell::from(bytes(topic.bytes)),
            Cell::from(format!("{rate:.0}/s")),
        ])
    });
    let widths =
        [Constraint::Fill(1), Constraint::Length(12), Constraint::Length(12), Constraint::Length(10)];
    let head = Row::new(["TOPIC", "MESSAGES", "BYTES", "PRODUCED"]);
    let table = Table::new(rows, widths).header(head).block(Block::bordered().title(" Topics "));
    frame.render_widget(table, area);
}
