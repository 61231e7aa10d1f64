// All that moves state: the two directions of one exchange and the life of the connection, as tables.
//
// Whoever moves a direction names the edge (`REQUEST.content.end`): the compiler knows that there is one, and it costs
// nothing. The tables do not know which role we play. A request goes from client to server and a response back: what one side
// sends its mirror receives, so both roles step through the same states.

/**
 * A request: its head, its content, its end. `next`: the connection turns to another exchange. `vanish`: it was
 * cancelled before any of it was taken.
 */
export const REQUEST = {
  idle: { head: 'content' },
  content: { end: 'done', vanish: 'idle' },
  done: { next: 'idle', vanish: 'idle' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

/** A response is awaited from the request's head on. `switch`: 101, or 2xx to CONNECT. */
export const RESPONSE = {
  idle: { request: 'awaited' },
  awaited: { informational: 'awaited', head: 'content', switch: 'switching', vanish: 'idle' },
  content: { end: 'done' },
  switching: {},
  done: { next: 'idle' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

/**
 * The connection. `drain`: no further exchange will begin. `switch`: it is no longer HTTP/1.1. `fail`: the peer broke
 * it. `close`: nothing is left to do.
 */
export const LIFE = {
  open: { drain: 'draining', switch: 'switched', fail: 'failed', close: 'closed' },
  draining: { drain: 'draining', switch: 'switched', fail: 'failed', close: 'closed' },
  switched: { close: 'closed' },
  failed: { close: 'closed' },
  closed: { close: 'closed' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

export type RequestState = keyof typeof REQUEST
export type ResponseState = keyof typeof RESPONSE
export type Life = keyof typeof LIFE
export type LifeInput = keyof (typeof LIFE)['open']

/** Where a connection's life goes; undefined: the input changes nothing. */
export function live(life: Life, input: LifeInput): Life | undefined {
  return (LIFE[life] as Readonly<Partial<Record<LifeInput, Life>>>)[input]
}
