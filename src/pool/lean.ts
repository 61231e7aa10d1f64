// The pool: connections scheduled by a pure state machine. HTTP/2 is lent to it here, so that who never speaks it need not
// load it; index.ts is the same with both versions at hand. Reading order:
export * from './commands.ts' // what goes in and out: the whole outer contract
export type { Http2Options, PoolSettings, ProxyTarget } from './settings.ts' // what it is made with
export type { Http2 } from './establish.ts'
export { PoolMachine } from './pool.ts' // inputs to facts, decisions to commands; the laws; requests, links, time
export { BySlot, Slots } from './slots.ts' // numbers for requests and links
// The pool's parts, from the top down, over one state.ts: decisions.ts, what the scheduler decided · deadlines.ts, what is due
// receiving.ts, what comes of the peer · sending.ts, what leaves for it · ending.ts, how an exchange ends or is sent again
// lifecycle.ts, what becomes of a connection · output.ts, when bytes leave · tracing.ts, what a trace is told
// scheduler.ts: facts in, decisions out · establish.ts: from a name to a machine · socks5.ts: RFC 1928
// exchange.ts, connection.ts: one request, one connection · retry.ts: what may be sent again
// timers.ts, list.ts: deadlines and queues · failures.ts: errors from facts
