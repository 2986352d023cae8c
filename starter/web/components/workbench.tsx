'use client'

/**
 * The page: one run at a time, live, with its start, its dead letter and its neighbours.
 *
 * It holds what the panels share (which run, which panel, paused or not) and wires their actions to the hooks.
 * All of a run's truth comes from the hooks; a reload or a second tab shows the same.
 */

import dynamic from 'next/dynamic'
import { useEffect, useMemo, useRef, useState } from 'react'
import { copyText, focusWhenShown, goToRun, useChoice, useRunId } from '@/lib/browser'
import { useRun, useRuns, useStartRun } from '@/lib/driftq'
import { useKeys } from '@/lib/keys'
import { outageOf } from '@/lib/outage'
import { letterInput, planReplay, replayBar } from '@/lib/replay'
import { buildTimeline, isTerminal } from '@/lib/timeline'
import { Announcer } from './announcer'
import { DemoLine } from './demo-line'
import { NoLetter } from './no-letter'
import type { RunViewHandle } from './run-view'
import { RunsList } from './runs-list'
import { StartForm, type StartRequest } from './start-form'
import { NoRun, OutageNotice, RunGone } from './states'
import { type Panel, TabBar } from './tab-bar'
import { Toasts, useToasts } from './toasts'
import { TopBar } from './top-bar'
import { useLiveSigns } from './use-live-signs'
import styles from './workbench.module.css'

/** What the start page does not need comes when it is needed; a run's view is fetched ahead, once all is quiet. */
const loadRunView = () => import('./run-view')
const loadDeadLetter = () => import('./dead-letter')
const RunView = dynamic(() => loadRunView().then((module) => module.RunView))
const DeadLetter = dynamic(() => loadDeadLetter().then((module) => module.DeadLetter))
const ReplayDialog = dynamic(() => import('./replay-dialog').then((module) => module.ReplayDialog))
const FindDialog = dynamic(() => import('./find-dialog').then((module) => module.FindDialog))
const KeysDialog = dynamic(() => import('./keys-dialog').then((module) => module.KeysDialog))

/** `home` is a page just opened: a phone shows the start there, a tablet no drawer. */
type Shown = Panel | 'home'

type Opened = 'keys' | 'find' | 'replay' | null

/** The whole page; `baseUrl` is where the browser finds the API. */
export function Workbench({ baseUrl }: { readonly baseUrl: string }) {
  const runId = useRunId()
  const run = useRun(runId, { baseUrl })
  const runs = useRuns({ baseUrl })
  const starter = useStartRun(`${baseUrl}/runs`)
  const timeline = useMemo(() => buildTimeline(run.events, run.maxAttempts), [run.events, run.maxAttempts])
  const { toasts, show, close } = useToasts()
  const [panel, setPanel] = useState<Shown>(runId === null ? 'home' : 'timeline')
  const [opened, setOpened] = useState<Opened>(null)
  const [pausedAt, setPausedAt] = useState<number | null>(null)
  const [singleKeys, setSingleKeys] = useChoice('keys', 'on')

  const startInput = useRef<HTMLInputElement>(null)
  const search = useRef<HTMLInputElement>(null)
  const runHeading = useRef<HTMLHeadingElement>(null)
  const letterHeading = useRef<HTMLHeadingElement>(null)
  const view = useRef<RunViewHandle>(null)

  const outage = outageOf(run.problem) ?? outageOf(runs.error)
  const failed = runs.runs.filter((each) => each.status === 'failed' && each.run_id !== runId)
  const openLetters = failed.length + (run.status === 'failed' ? 1 : 0)
  const behindMs = useLiveSigns(
    runId,
    starter.runId,
    run,
    runs.refresh,
    () => view.current?.showResult(),
    show,
  )

  // Another run starts unpaused, in view.
  const lastRunId = useRef(runId)
  useEffect(() => {
    if (lastRunId.current === runId) return
    lastRunId.current = runId
    setPausedAt(null)
    setPanel(runId === null ? 'home' : 'timeline')
  }, [runId])

  useEffect(() => {
    void loadRunView()
    void loadDeadLetter()
  }, [])

  function select(id: string | null) {
    setOpened(null)
    goToRun(id)
    setPanel(id === null ? 'home' : 'timeline')
    focusWhenShown(() => runHeading.current)
  }

  async function start(request: StartRequest) {
    const created = await starter.start({
      workflow: 'demo',
      input: { text: request.text },
      extra: { fail_at: request.failAt, max_attempts: request.maxAttempts },
    })
    if (created === undefined) return
    select(created.run_id)
    runs.refresh()
  }

  function startOver() {
    goToRun(null)
    setPanel('start')
    focusWhenShown(() => startInput.current)
  }

  function openStart() {
    setPanel('start')
    focusWhenShown(() => startInput.current)
  }

  function openLetter() {
    setPanel('dead-letter')
    focusWhenShown(() => letterHeading.current)
  }

  function openRuns() {
    setPanel('runs')
    focusWhenShown(() => document.getElementById('runs-heading'))
  }

  /** Closes what lies over the timeline; a focus that was in there goes to the run. */
  function back() {
    const focused = document.activeElement
    setPanel(runId === null ? 'home' : 'timeline')
    requestAnimationFrame(() => {
      if (focused?.checkVisibility() === false) runHeading.current?.focus()
    })
  }

  function openPanel(next: Panel) {
    if (next === 'start') openStart()
    else if (next === 'runs') openRuns()
    else if (next === 'dead-letter') openLetter()
    else setPanel(next)
  }

  async function copy(text: string, what: string) {
    const isCopied = await copyText(text)
    show(
      isCopied
        ? { kind: 'succeeded', text: `${what} copied.` }
        : { kind: 'failed', text: 'Not copied: this browser refused. Select the text by hand.' },
    )
  }

  async function replay(options: Parameters<typeof run.replay>[0]) {
    const replayed = await run.replay(options)
    if (replayed === undefined) return
    setOpened(null)
    setPausedAt(null)
    if (panel === 'dead-letter') setPanel('timeline')
  }

  const letter = run.deadLetter
  const canReplay = letter !== null && replayBar(run) === null
  const replayFixed = () => {
    if (canReplay) void replay({ failAt: null })
  }
  const replayAsItWas = () => {
    if (canReplay) void replay(planReplay(run.info?.input, letterInput(letter)).options)
  }
  const edit = () => {
    if (canReplay && run.info !== null) setOpened('replay')
  }

  async function cancel() {
    if (run.status !== null && !isTerminal(run.status)) await run.cancel()
  }

  // A refused action says why, and what would help.
  const actionError = run.actionError
  // biome-ignore lint/correctness/useExhaustiveDependencies: one notice for each error
  useEffect(() => {
    if (actionError !== null && opened !== 'replay') {
      show({ kind: 'failed', text: `Not done: ${actionError.message}` })
    }
  }, [actionError])

  function togglePause() {
    setPausedAt(pausedAt === null ? run.lastSeq : null)
  }

  function tryNow() {
    run.reconnect()
    runs.refresh()
  }

  useKeys(
    {
      '/': () => view.current?.focusSearch(),
      j: () => view.current?.move(1),
      k: () => view.current?.move(-1),
      '[': () => view.current?.moveAttempt(-1),
      ']': () => view.current?.moveAttempt(1),
      f: () => view.current?.toggleFollow(),
      p: togglePause,
      c: () => void copy(JSON.stringify(run.events, null, 2), 'Timeline'),
      r: replayFixed,
      e: edit,
      'g r': openRuns,
      'g d': openLetter,
      '?': () => setOpened('keys'),
      'ctrl+k': () => setOpened('find'),
      'ctrl+enter': () => document.querySelector<HTMLFormElement>('#start-form')?.requestSubmit(),
      escape: back,
    },
    singleKeys === 'on',
  )

  const isGone = run.connection === 'lost' && run.problem?.status === 404
  const isStale = outage !== null && run.events.length > 0
  return (
    <>
      <a className={styles.skip} href="#timeline">
        Skip to the timeline
      </a>
      <div className={styles.app} data-panel={panel}>
        <TopBar
          run={run}
          baseUrl={baseUrl}
          outage={outage}
          isPaused={pausedAt !== null}
          waiting={pausedAt === null ? 0 : run.lastSeq - pausedAt}
          behindMs={behindMs}
          openLetters={openLetters}
          onResume={togglePause}
          onTryNow={tryNow}
          onHome={() => select(null)}
          onPanel={openPanel}
          onKeys={() => setOpened('keys')}
        />
        <DemoLine timeline={timeline} hasRun={runId !== null} onStartOver={startOver} />
        <aside className={styles.rail} aria-label="Start and browse runs">
          <div className={styles.start}>
            <StartForm
              isPending={starter.pending}
              error={starter.error?.message ?? null}
              onStart={start}
              inputRef={startInput}
            />
          </div>
          <div className={styles.list}>
            <RunsList
              baseUrl={baseUrl}
              runs={runs}
              selectedId={runId}
              timeline={timeline}
              nextRetryAtMs={run.nextRetryAtMs}
              onSelect={select}
            />
          </div>
        </aside>
        <button
          type="button"
          className={styles.backdrop}
          aria-label="Close the drawer"
          tabIndex={-1}
          onClick={() => setPanel('timeline')}
        />
        <main className={styles.main} id="timeline" tabIndex={-1}>
          {runId === null && <NoRun hasRuns={runs.runs.length > 0} onStart={openStart} />}
          {runId !== null && isGone && (
            <RunGone runId={runId} isExpired={run.problem?.code === 'EXPIRED'} onStart={openStart} />
          )}
          {runId !== null && !isGone && (
            <RunView
              key={runId}
              runId={runId}
              run={run}
              timeline={timeline}
              pausedAt={pausedAt}
              isStale={isStale}
              headingRef={runHeading}
              searchRef={search}
              handle={view}
              onPause={togglePause}
              onCopy={() => void copy(JSON.stringify(run.events, null, 2), 'Timeline')}
              onCopyLink={() => void copy(window.location.href, 'Link')}
              onCancel={() => void cancel()}
              onOpenDeadLetter={openLetter}
            />
          )}
          {outage !== null && (
            <OutageNotice
              outage={outage}
              baseUrl={baseUrl}
              retryAtMs={run.reconnectAtMs ?? runs.retryAtMs}
              dataAtMs={runs.updatedAtMs}
              onTryNow={tryNow}
            />
          )}
        </main>
        <aside className={styles.side} aria-label="Dead letter">
          {letter === null ? (
            <NoLetter hasRun={runId !== null} failed={failed} headingRef={letterHeading} onSelect={select} />
          ) : (
            <DeadLetter
              letter={letter}
              run={run}
              timeline={timeline}
              headingRef={letterHeading}
              onCopy={(text) => void copy(text, 'JSON')}
              onReplayFixed={replayFixed}
              onReplayAsItWas={replayAsItWas}
              onEdit={edit}
              onClose={() => setPanel('timeline')}
            />
          )}
        </aside>
        <TabBar
          selected={panel === 'home' ? 'start' : panel}
          openLetters={openLetters}
          onSelect={openPanel}
        />
      </div>
      <Announcer runId={runId} run={run} timeline={timeline} />
      <Toasts toasts={toasts} onClose={close} />
      {opened === 'keys' && (
        <KeysDialog
          areSingle={singleKeys === 'on'}
          onSingle={(areSingle) => setSingleKeys(areSingle ? 'on' : 'off')}
          onClose={() => setOpened(null)}
        />
      )}
      {opened === 'find' && <FindDialog runs={runs.runs} onSelect={select} onClose={() => setOpened(null)} />}
      {opened === 'replay' && run.info !== null && runId !== null && (
        <ReplayDialog
          runId={runId}
          nextReplay={run.replaySeq + 1}
          current={run.info.input}
          finishedSteps={(run.info.steps ?? []).map((step) => step.step)}
          isPending={run.pending === 'replay'}
          error={actionError?.message ?? null}
          onSend={(wanted) => void replay(planReplay(run.info?.input, wanted).options)}
          onClose={() => setOpened(null)}
        />
      )}
    </>
  )
}
