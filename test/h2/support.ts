// Frames for tests: built from their fields, and taken apart again.
import type { Bytes, H2Event, Millis } from '../../src/http/index.ts'
import { errorName, FLAG, FRAME, frameName, H2Connection, type H2Options } from '../../src/h2/index.ts'
import type { HpackDecoder } from '../../src/h2/hpack/index.ts'

export const PREFACE = latin1('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const NOTHING = new Uint8Array(0)

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0))
}
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (octet) => Number.parseInt(octet, 16))
}
export function toHex(bytes: Bytes): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('')
}
export function concat(chunks: readonly Bytes[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
export function uint32(...values: readonly number[]): Uint8Array {
  return concat(values.map((value) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value])))
}

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Uint8Array
}

export function frame(type: number, flags: number, stream: number, payload: Bytes = NOTHING): Uint8Array {
  const { length } = payload
  const header = [length >>> 16, length >>> 8, length, type, flags, stream >>> 24, stream >>> 16, stream >>> 8, stream]
  return concat([new Uint8Array(header), payload])
}

type Pairs = readonly (readonly [name: string, value: string])[]

/** Literals without indexing: legal at any time, whatever the tables hold. */
export function block(fields: Pairs): Uint8Array {
  return concat(fields.map(([name, value]) => concat([new Uint8Array([0]), string(name), string(value)])))
}
function string(text: string): Uint8Array {
  const { length } = text
  const prefix = length < 127 ? [length] : [127, ((length - 127) & 127) | 128, (length - 127) >>> 7]
  return concat([new Uint8Array(prefix), latin1(text)])
}

export const GET: Pairs = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'a'],
]
export const POST: Pairs = [[':method', 'POST'], ...GET.slice(1)]
export const OK: Pairs = [[':status', '200']]

export function headers(stream: number, fields: Pairs, end = false, extra: Pairs = []): Uint8Array {
  const flags = FLAG.END_HEADERS | (end ? FLAG.END_STREAM : 0)
  return frame(FRAME.HEADERS, flags, stream, block([...fields, ...extra]))
}
export function data(stream: number, content: Bytes | number, end = false): Uint8Array {
  const payload = typeof content === 'number' ? new Uint8Array(content) : content
  return frame(FRAME.DATA, end ? FLAG.END_STREAM : 0, stream, payload)
}
export function settings(...entries: readonly (readonly [id: number, value: number])[]): Uint8Array {
  const payload = entries.map(([id, value]) => concat([new Uint8Array([id >>> 8, id]), uint32(value)]))
  return frame(FRAME.SETTINGS, 0, 0, concat(payload))
}
export const SETTINGS_ACK = frame(FRAME.SETTINGS, FLAG.ACK, 0)
export function windowUpdate(stream: number, increment: number): Uint8Array {
  return frame(FRAME.WINDOW_UPDATE, 0, stream, uint32(increment))
}
export function reset(stream: number, h2Code: number): Uint8Array {
  return frame(FRAME.RST_STREAM, 0, stream, uint32(h2Code))
}
export function goaway(lastStream: number, h2Code: number, debug = ''): Uint8Array {
  return frame(FRAME.GOAWAY, 0, 0, concat([uint32(lastStream, h2Code), latin1(debug)]))
}
export function ping(payload = '12345678', ack = false): Uint8Array {
  return frame(FRAME.PING, ack ? FLAG.ACK : 0, 0, latin1(payload))
}

/** Whole frames; the client's preface is passed over. */
export function parseFrames(bytes: Bytes): Frame[] {
  const frames: Frame[] = []
  let at = bytes[0] === 0x50 && bytes[1] === 0x52 ? PREFACE.length : 0
  while (at < bytes.length) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    const length = view.getUint32(0) >>> 8
    const payload = bytes.slice(at + 9, at + 9 + length)
    frames.push({ type: view.getUint8(3), flags: view.getUint8(4), stream: view.getUint32(5), payload })
    at += 9 + length
  }
  return frames
}

export function first32(payload: Bytes, at = 0): number {
  return new DataView(payload.buffer, payload.byteOffset + at).getUint32(0)
}

/** One line per frame, for comparing and for reading failures. Sections are decoded by `decoder`. */
export function describeFrame({ type, flags, stream, payload }: Frame, decoder?: HpackDecoder): string {
  const ends = (flags & FLAG.END_STREAM) !== 0 ? ' END_STREAM' : ''
  const acks = (flags & FLAG.ACK) !== 0 ? ' ACK' : ''
  const name = frameName(type)
  switch (type) {
    case FRAME.HEADERS: {
      const fields = decoder === undefined ? [] : [...decoder.decode(payload)].map(([n, v]) => ` ${n}=${v}`)
      return `${name} ${stream}${ends}${fields.join('')}`
    }
    case FRAME.DATA:
      return `${name} ${stream} ${payload.length}${ends}`
    case FRAME.RST_STREAM:
      return `${name} ${stream} ${errorName(first32(payload))}`
    case FRAME.GOAWAY:
      return `${name} ${first32(payload)} ${errorName(first32(payload, 4))}`
    case FRAME.WINDOW_UPDATE:
      return `${name} ${stream} ${first32(payload)}`
    case FRAME.PING:
    case FRAME.SETTINGS:
      return `${name}${acks}`
    default:
      return `${name} ${stream} ${payload.length}`
  }
}

export function takeAll(machine: H2Connection): Uint8Array {
  return concat(machine.takeOutput())
}
export function takeFrames(machine: H2Connection): Frame[] {
  return parseFrames(takeAll(machine))
}
/** What it writes, a line per frame. */
export function written(machine: H2Connection, decoder?: HpackDecoder): string[] {
  return takeFrames(machine).map((one) => describeFrame(one, decoder))
}
export function drain(machine: H2Connection): H2Event[] {
  const events: H2Event[] = []
  for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) events.push(event)
  return events
}
export function feed(machine: H2Connection, bytes: Bytes | readonly Bytes[], now: Millis = 0): H2Event[] {
  machine.receiveData(bytes instanceof Uint8Array ? bytes : concat(bytes as readonly Bytes[]), now)
  return drain(machine)
}

/** A machine past the prefaces, both SETTINGS acknowledged, its output so far taken. */
export function ready(
  role: 'client' | 'server',
  options: Partial<H2Options> = {},
  peer: Uint8Array = settings(),
): H2Connection {
  const machine = new H2Connection(role, { now: 0, ...options })
  feed(machine, [role === 'server' ? PREFACE : NOTHING, peer, SETTINGS_ACK])
  machine.takeOutput()
  return machine
}

export const GET_HEAD = { method: 'GET', scheme: 'http', authority: 'a', target: '/', headers: [] } as const
export const POST_HEAD = { ...GET_HEAD, method: 'POST' } as const

/** A client with one request under way, which was written. */
export function asking(options: Partial<H2Options> = {}, end = true): H2Connection {
  const machine = ready('client', options)
  machine.sendRequest(end ? GET_HEAD : POST_HEAD, { end })
  machine.takeOutput()
  return machine
}

/** Without what is lent, and with fields as pairs: comparable. */
export function plainEvent(event: H2Event): Record<string, unknown> {
  const plain: Record<string, unknown> = { ...event }
  for (const [key, value] of Object.entries(event)) {
    if (value instanceof Uint8Array) plain[key] = toHex(value)
    else if (typeof value === 'object' && value !== null && 'toJSON' in value)
      plain[key] = [...(value as Iterable<unknown>)]
  }
  return plain
}
