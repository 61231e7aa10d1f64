// The vocabulary of RFC 9113: frame types, flags, error codes, and what a frame of each type must look like before its
// payload means anything. Tables only; who reads or writes frames looks here.

/** RFC 9113 §6; ALTSVC: RFC 7838 §4, ORIGIN: RFC 8336 §2, PRIORITY_UPDATE: RFC 9218 §7.1. */
export const FRAME = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
  ALTSVC: 0xa,
  ORIGIN: 0xc,
  PRIORITY_UPDATE: 0x10,
} as const
export type FrameName = keyof typeof FRAME

export const FLAG = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const

/** RFC 9113 §7. */
export const H2_ERROR = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const
export type H2ErrorName = keyof typeof H2_ERROR

const ERROR_NAMES: readonly string[] = Object.keys(H2_ERROR)
const FRAME_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(FRAME).map(([name, type]) => [type, name]))

/** 'CANCEL' for 8; '0xabcdef' for a code that no RFC names. */
export function errorName(h2Code: number): string {
  return ERROR_NAMES[h2Code] ?? '0x' + h2Code.toString(16)
}
export function frameName(type: number): string {
  return FRAME_NAMES.get(type) ?? '0x' + type.toString(16)
}

/** The client's half of the connection preface; its SETTINGS follow. RFC 9113 §3.4. */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
export const FRAME_HEADER_BYTES = 9
/** Windows, stream identifiers and increments have 31 bits. */
export const MAX_31 = 2 ** 31 - 1
/** RFC 9113 §6.9.2. */
export const DEFAULT_WINDOW = 65_535
/** RFC 9113 §4.2: what every endpoint accepts. */
export const MIN_MAX_FRAME_SIZE = 16_384

/** What can be told from a frame's header alone. Lengths hold for the whole payload. */
export interface FrameRule {
  readonly section: string
  /** Which stream identifiers it may carry. */
  readonly on: 'connection' | 'stream' | 'either'
  readonly minBytes: number
  readonly maxBytes: number
  readonly multipleOf: number
}

function rule(section: string, on: FrameRule['on'], minBytes = 0, maxBytes = Infinity, multipleOf = 1): FrameRule {
  return { section, on, minBytes, maxBytes, multipleOf }
}

/** PRIORITY's length is not here: a wrong one is a stream error, all others break the connection. RFC 9113 §6.3. */
export const FRAME_RULES = {
  DATA: rule('RFC 9113 §6.1', 'stream'),
  HEADERS: rule('RFC 9113 §6.2', 'stream'),
  PRIORITY: rule('RFC 9113 §6.3', 'stream'),
  RST_STREAM: rule('RFC 9113 §6.4', 'stream', 4, 4),
  SETTINGS: rule('RFC 9113 §6.5', 'connection', 0, Infinity, 6),
  PUSH_PROMISE: rule('RFC 9113 §6.6', 'stream', 4),
  PING: rule('RFC 9113 §6.7', 'connection', 8, 8),
  GOAWAY: rule('RFC 9113 §6.8', 'connection', 8),
  WINDOW_UPDATE: rule('RFC 9113 §6.9', 'either', 4, 4),
  CONTINUATION: rule('RFC 9113 §6.10', 'stream'),
  // One that lacks its own fields is ignored: RFC 7838 §4, RFC 8336 §2.1.
  ALTSVC: rule('RFC 7838 §4', 'either'),
  ORIGIN: rule('RFC 8336 §2.1', 'either'),
  PRIORITY_UPDATE: rule('RFC 9218 §7.1', 'connection', 4),
} as const satisfies Record<FrameName, FrameRule>

const RULES_BY_TYPE: readonly (FrameRule | undefined)[] = Array.from(
  { length: FRAME.PRIORITY_UPDATE + 1 },
  (_, type) => FRAME_RULES[frameName(type) as FrameName] as FrameRule | undefined,
)

/** undefined: a type that we do not know, to be ignored. RFC 9113 §5.5. */
export function ruleOf(type: number): FrameRule | undefined {
  return RULES_BY_TYPE[type]
}

/** What the peer did wrong: with a frame, a stream or a message (then it is malformed, RFC 9113 §8.1.1). */
export interface Violation {
  readonly code: string
  readonly rule: string
  readonly message: string
  readonly h2Code: number
  /** What a server would answer to it; left out: 400. */
  readonly status?: number
}
/** A connection breaks, and a stream is reset, with PROTOCOL_ERROR where no other code is said. */
export function violation(code: string, rule: string, message: string, h2: H2ErrorName = 'PROTOCOL_ERROR'): Violation {
  return { code, rule, message, h2Code: H2_ERROR[h2] }
}
/** RFC 9113 §4.2. */
export function wrongSize(rule: string, message: string): Violation {
  return violation('frame-size', rule, message, 'FRAME_SIZE_ERROR')
}
export function isViolation(value: object): value is Violation {
  return 'h2Code' in value
}
