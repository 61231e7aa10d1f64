// HTTP/1.1 (RFC 9112), both roles, no I/O. Imports http. Reading order:
export { H11Connection, type H11Options } from './connection.ts' // the machine
export { LIFE, REQUEST, RESPONSE } from './state.ts' // what moves state, as tables
// framing.ts: how a received message is framed, and whether the connection persists
// reader.ts, section.ts, known.ts, chunks.ts, grammar.ts: bytes to heads, chunk lines and trailers
// desk.ts, input.ts: what an exchange takes, and the bytes that wait to be read
// heads.ts, writer.ts: the heads that we send, and the bytes that wait to be taken
export { LENIENCIES, type Leniency } from './lenient.ts' // what can be let through, by name
export type { FaultCode } from './faults.ts' // what a peer can do wrong
