// HTTP/2 (RFC 9113): one connection as a machine, in both roles. Reading order:
export { FLAG, FRAME, H2_ERROR, errorName, frameName } from './frames.ts' // types, flags, error codes
export type { FrameName, H2ErrorName } from './frames.ts'
// reader.ts, writer.ts: bytes to frames and back · flow.ts: windows and rates · faults.ts: what a peer can do wrong
export { STREAM_TRANSITIONS } from './state.ts' // all that moves a stream
export type { StreamInput, StreamState } from './state.ts'
// stream.ts: one stream · streams.ts: which there are · block.ts: a field block in pieces
export { SETTINGS } from './settings.ts' // names and bounds of settings
export type { SettingName } from './settings.ts'
// semantics.ts: HTTP in field sections · priority.ts: RFC 9218 · sender.ts: what leaves, in which order
// floods.ts: what is held for a peer · session.ts: what all share, and how things end
// receiving.ts, control.ts, negotiation.ts, shutdown.ts: what each frame means · sending.ts: what we say
export { H2Connection } from './connection.ts' // the machine
export type { H2Options } from './connection.ts'
