// Every state of a stream times every input: the table answers, and the machine does as the table says.
import { describe, expect, test } from 'vitest'
import {
  errorName,
  FRAME,
  H2_ERROR,
  type H2Connection,
  STREAM_TRANSITIONS,
  type StreamInput,
  type StreamState,
} from '../../src/h2/index.ts'
import {
  data,
  feed,
  first32,
  frame,
  GET,
  headers,
  parseFrames,
  POST,
  ready,
  reset,
  takeAll,
  windowUpdate,
} from './support.ts'

const STATES = Object.keys(STREAM_TRANSITIONS) as StreamState[]
const RECEIVED = {
  'receive HEADERS': headers(1, [['x-a', 'b']], true),
  'receive DATA': data(1, 1),
  'receive END_STREAM': data(1, 0, true),
  'receive RST_STREAM': reset(1, H2_ERROR.CANCEL),
  'receive WINDOW_UPDATE': windowUpdate(1, 1),
  'receive PRIORITY': frame(FRAME.PRIORITY, 0, 1, new Uint8Array(5)),
} as const satisfies Partial<Record<StreamInput, Uint8Array>>

/** A server whose stream 1 is in that state. */
function serverIn(state: StreamState): H2Connection {
  const machine = ready('server')
  if (state === 'idle') return machine
  const half = state === 'half-closed (remote)' || state === 'closed (ended)'
  feed(machine, headers(1, half ? GET : POST, half))
  if (state === 'half-closed (local)' || state === 'closed (ended)')
    machine.sendResponse(1, { status: 200, headers: [] }, { end: true })
  if (state === 'closed (by us)') machine.cancel(1)
  if (state === 'closed (by peer)') feed(machine, reset(1, H2_ERROR.CANCEL))
  machine.takeOutput()
  return machine
}

function stateOf(machine: H2Connection): string | undefined {
  const { streams } = machine.snapshot() as { streams: readonly { id: number; state: string }[] }
  return streams.find(({ id }) => id === 1)?.state
}

describe('stream states', () => {
  test('the table is complete', () => {
    for (const state of STATES) expect(Object.keys(STREAM_TRANSITIONS[state])).toHaveLength(9)
    expect(STATES).toHaveLength(7)
  })

  for (const state of STATES) {
    for (const [input, bytes] of Object.entries(RECEIVED)) {
      const outcome = STREAM_TRANSITIONS[state][input as keyof typeof RECEIVED]
      // HEADERS of trailers carry END_STREAM, and on an idle stream they lack a method: both follow below.
      if (input === 'receive HEADERS' && state === 'idle') continue
      test(`${state}, ${input}: ${typeof outcome === 'string' ? outcome : errorName(outcome.h2Code)}`, () => {
        const machine = serverIn(state)
        feed(machine, bytes)
        const output = parseFrames(takeAll(machine))
        const away = output.find(({ type }) => type === FRAME.GOAWAY)
        const rst = output.find(({ type }) => type === FRAME.RST_STREAM)
        if (typeof outcome === 'object') {
          const sent = outcome.scope === 'connection' ? away?.payload.subarray(4) : rst?.payload
          expect(sent === undefined ? undefined : first32(sent)).toBe(outcome.h2Code)
          expect(machine.closed).toBe(outcome.scope === 'connection')
          return
        }
        expect([away, rst]).toEqual([undefined, undefined])
        const ended =
          input === 'receive HEADERS' ? STREAM_TRANSITIONS[outcome as StreamState]['receive END_STREAM'] : outcome
        const gone = String(ended).startsWith('closed') || ended === 'idle'
        expect(stateOf(machine)).toBe(gone ? undefined : ended)
      })
    }
  }

  test('idle, receive HEADERS: open', () => {
    const machine = serverIn('idle')
    expect(feed(machine, headers(1, POST))[0]).toMatchObject({ type: 'request', exchange: 1 })
    expect(stateOf(machine)).toBe('open')
  })

  const SENDS: Partial<Record<StreamInput, (machine: H2Connection) => void>> = {
    'send HEADERS': (machine) => machine.sendInformational(1, 103),
    'send END_STREAM': (machine) => machine.sendResponse(1, { status: 200, headers: [] }, { end: true }),
    'send RST_STREAM': (machine) => machine.cancel(1),
  }
  for (const state of STATES) {
    for (const [input, send] of Object.entries(SENDS)) {
      const outcome = STREAM_TRANSITIONS[state][input as StreamInput]
      if (state === 'idle') continue
      test(`${state}, ${input}: ${String(outcome)}`, () => {
        const machine = serverIn(state)
        const refused = outcome === 'misuse'
        // A cancel of what is gone is nothing; after the peer's own reset nobody need know yet.
        const quiet = input === 'send RST_STREAM' || state === 'closed (by peer)'
        if (refused && !quiet) expect(() => send(machine)).toThrow()
        else send(machine)
        const output = takeAll(machine)
        if (refused) expect(output).toHaveLength(0)
        else expect(output.length).toBeGreaterThan(0)
        const gone = refused ? state.startsWith('closed') : String(outcome).startsWith('closed')
        expect(stateOf(machine)).toBe(gone ? undefined : refused ? state : outcome)
      })
    }
  }
})
