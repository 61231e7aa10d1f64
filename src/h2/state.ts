// All that moves a stream: the table of RFC 9113 §5.1, complete, so that every pair of state and input has an answer.
//
// Reserved states are missing because push is refused: no stream ever gets there. `closed` is three states, since what
// may still come depends on who closed it: after our RST_STREAM the peer may not know of it yet, after its own it does.
// END_STREAM is an input of its own, after the frame that bears it. Only HEADERS of whole blocks are inputs.
//
// END_STREAM said twice is the fault of its stream alone (§6.1), whoever has ended it: servers say it first on a head and
// then on empty DATA, and the other streams of the connection are not to pay for it. Content behind the end breaks it.
import { H2_ERROR } from './frames.ts'

export type StreamState =
  | 'idle'
  | 'open'
  | 'half-closed (local)'
  | 'half-closed (remote)'
  /** Both sides ended it. */
  | 'closed (ended)'
  /** We sent RST_STREAM. */
  | 'closed (by us)'
  /** The peer sent RST_STREAM. */
  | 'closed (by peer)'

export type StreamInput =
  | 'send HEADERS'
  | 'send END_STREAM'
  | 'send RST_STREAM'
  | 'receive HEADERS'
  | 'receive DATA'
  | 'receive END_STREAM'
  | 'receive RST_STREAM'
  | 'receive WINDOW_UPDATE'
  | 'receive PRIORITY'

/** What the peer did wrong. Inputs of our own that have no transition are `misuse`. */
export interface Refusal {
  readonly scope: 'exchange' | 'connection'
  readonly code: string
  readonly h2Code: number
  readonly rule: string
}
export type Outcome = StreamState | Refusal | 'misuse'

const IDLE = refusal('connection', 'stream-id', H2_ERROR.PROTOCOL_ERROR)
const ENDED = refusal('exchange', 'stream-closed', H2_ERROR.STREAM_CLOSED)
const CLOSED = refusal('connection', 'stream-closed', H2_ERROR.STREAM_CLOSED)
function refusal(scope: Refusal['scope'], code: string, h2Code: number): Refusal {
  return { scope, code, h2Code, rule: 'RFC 9113 §5.1' }
}

export const STREAM_TRANSITIONS = {
  idle: {
    'send HEADERS': 'open',
    'send END_STREAM': 'misuse',
    'send RST_STREAM': 'misuse',
    'receive HEADERS': 'open',
    'receive DATA': IDLE,
    'receive END_STREAM': IDLE,
    'receive RST_STREAM': IDLE,
    'receive WINDOW_UPDATE': IDLE,
    'receive PRIORITY': 'idle',
  },
  open: {
    'send HEADERS': 'open',
    'send END_STREAM': 'half-closed (local)',
    'send RST_STREAM': 'closed (by us)',
    'receive HEADERS': 'open',
    'receive DATA': 'open',
    'receive END_STREAM': 'half-closed (remote)',
    'receive RST_STREAM': 'closed (by peer)',
    'receive WINDOW_UPDATE': 'open',
    'receive PRIORITY': 'open',
  },
  'half-closed (local)': {
    'send HEADERS': 'misuse',
    'send END_STREAM': 'misuse',
    'send RST_STREAM': 'closed (by us)',
    'receive HEADERS': 'half-closed (local)',
    'receive DATA': 'half-closed (local)',
    'receive END_STREAM': 'closed (ended)',
    'receive RST_STREAM': 'closed (by peer)',
    'receive WINDOW_UPDATE': 'half-closed (local)',
    'receive PRIORITY': 'half-closed (local)',
  },
  'half-closed (remote)': {
    'send HEADERS': 'half-closed (remote)',
    'send END_STREAM': 'closed (ended)',
    'send RST_STREAM': 'closed (by us)',
    'receive HEADERS': ENDED,
    'receive DATA': ENDED,
    'receive END_STREAM': ENDED,
    'receive RST_STREAM': 'closed (by peer)',
    'receive WINDOW_UPDATE': 'half-closed (remote)',
    'receive PRIORITY': 'half-closed (remote)',
  },
  'closed (ended)': {
    'send HEADERS': 'misuse',
    'send END_STREAM': 'misuse',
    'send RST_STREAM': 'misuse',
    'receive HEADERS': CLOSED,
    'receive DATA': CLOSED,
    'receive END_STREAM': ENDED,
    'receive RST_STREAM': 'closed (ended)',
    'receive WINDOW_UPDATE': 'closed (ended)',
    'receive PRIORITY': 'closed (ended)',
  },
  'closed (by us)': {
    'send HEADERS': 'misuse',
    'send END_STREAM': 'misuse',
    'send RST_STREAM': 'misuse',
    'receive HEADERS': 'closed (by us)',
    'receive DATA': 'closed (by us)',
    'receive END_STREAM': 'closed (by us)',
    'receive RST_STREAM': 'closed (by us)',
    'receive WINDOW_UPDATE': 'closed (by us)',
    'receive PRIORITY': 'closed (by us)',
  },
  'closed (by peer)': {
    'send HEADERS': 'misuse',
    'send END_STREAM': 'misuse',
    'send RST_STREAM': 'misuse',
    'receive HEADERS': ENDED,
    'receive DATA': ENDED,
    'receive END_STREAM': ENDED,
    'receive RST_STREAM': 'closed (by peer)',
    'receive WINDOW_UPDATE': 'closed (by peer)',
    'receive PRIORITY': 'closed (by peer)',
  },
} as const satisfies Record<StreamState, Record<StreamInput, Outcome>>

export function transition(state: StreamState, input: StreamInput): Outcome {
  return STREAM_TRANSITIONS[state][input]
}

export function isClosed(state: StreamState): boolean {
  return state === 'closed (ended)' || state === 'closed (by us)' || state === 'closed (by peer)'
}

/** The life of the connection. `close`: we begin nothing more, or the peer said so; `fail`: it broke; `end`: it is over. */
export const LIFE_TRANSITIONS = {
  open: { close: 'draining', fail: 'failed', end: 'closed' },
  draining: { close: 'draining', fail: 'failed', end: 'closed' },
  failed: { close: 'failed', fail: 'failed', end: 'failed' },
  closed: { close: 'closed', fail: 'closed', end: 'closed' },
} as const satisfies Record<Life, Record<LifeInput, Life>>
export type Life = 'open' | 'draining' | 'failed' | 'closed'
export type LifeInput = 'close' | 'fail' | 'end'
