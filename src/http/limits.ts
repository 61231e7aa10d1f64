// Every limit of the machines and the pool: its name, default, hard maximum and reason, in one table.
//
// A limit is validated where something is constructed, not where it is met. `null` turns off those that may be off.
// Rates are token buckets on the given time (`…Burst` tokens, refilled `…Rate` a second), never lifetime totals: a
// total punishes a long-lived honest peer.
import type { Role } from './messages.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const MAX_MILLIS = 2 ** 31 - 1

interface Spec {
  readonly client: number
  readonly server: number
  readonly min: number
  readonly max: number
  readonly off: boolean
}
function limit(both: number, max: number, min = 0, off = false): Spec {
  return { client: both, server: both, min, max, off }
}
function byRole(client: number, server: number, max: number, min = 0): Spec {
  return { client, server, min, max, off: false }
}
/** A timer: `null` is off. */
function timer(both: number): Spec {
  return limit(both, MAX_MILLIS, 0, true)
}

export const LIMITS = {
  // ── HTTP/1.1 machine ──
  /** Start-line and field lines together; all 1xx heads of one exchange share it. A client meets larger cookies. */
  maxHeadBytes: byRole(128 * KiB, 64 * KiB, MiB, 64),
  /** 414 rather than 431 above it. RFC 9112 §3 asks for 8,000 at least. */
  maxRequestLineBytes: limit(16 * KiB, 64 * KiB, 32),
  /** In both versions, cookie crumbs singly: small fields must not slip below a limit on bytes. */
  maxHeaderCount: limit(256, 10_000, 1),
  /** 1xx before one final response: a peer must not keep us waiting with them for ever. */
  maxInformational: limit(128, 1_000),
  /** Empty lines that a server skips before a request-line. RFC 9112 §2.2. */
  maxLeadingEmptyBytes: limit(8, 64),
  /** One chunk-size line with its extensions. */
  maxChunkLineBytes: limit(4 * KiB, 64 * KiB, 18),
  /** All chunk extensions of one message: they are read amplification, nobody uses them. */
  maxChunkExtensionBytes: limit(16 * KiB, MiB),
  maxTrailerBytes: limit(16 * KiB, MiB),
  maxTrailerCount: limit(128, 10_000),
  /** Of one message, in both versions, whether its length was told or not. */
  maxContentLength: limit(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  /** Above it `sendData` answers false: the high-water mark of what waits to be taken. */
  maxBufferedOut: limit(256 * KiB, 16 * MiB, 1),

  // ── HTTP/2 machine ──
  /** What a server advertises. RFC 9113 §6.5.2. */
  maxConcurrentStreams: limit(100, 2 ** 31 - 1),
  /** What a client assumes before the first SETTINGS. */
  assumedConcurrentStreams: limit(100, 1_000, 1),
  maxFrameSize: limit(16 * KiB, 2 ** 24 - 1, 16 * KiB),
  /** Name + value + 32 of each field. Above it a stream error, above four times it ENHANCE_YOUR_CALM. */
  maxHeaderListBytes: byRole(128 * KiB, 64 * KiB, MiB, 64),
  /** CONTINUATION frames of one field block; 0: as many as the list needs, max(8, ⌈1.25 × list / frame⌉). */
  maxContinuations: limit(0, 1_024),
  /** Decoded header bytes of all streams that the application has not taken: what tiny fields cost, bounded. */
  maxHeldHeaderBytes: byRole(4 * MiB, MiB, 64 * MiB, 1),
  /** SETTINGS and PING acknowledgements, RST_STREAM and WINDOW_UPDATE that the peer does not read. */
  maxQueuedReplies: limit(1_000, 10_000, 1),
  maxSettingsEntries: limit(32, 1_000, 1),
  /** Rapid reset: streams that a client opens and resets. */
  resetBurst: limit(1_000, 1_000_000, 1),
  resetRate: limit(33, 1_000_000),
  /** Resets that a client provokes from a server. */
  provokedResetBurst: limit(100, 1_000_000, 1),
  provokedResetRate: limit(10, 1_000_000),
  /** DATA without content and without END_STREAM; one of a stream that ends is not counted. */
  emptyDataBurst: limit(100, 1_000_000, 1),
  emptyDataRate: limit(10, 1_000_000),
  /** Overhead of unread DATA below 256 bytes, given back as it is read; the larger of this and half the window. */
  smallDataBudget: limit(25_600, GiB, 256),
  maxGoaways: limit(16, 1_000, 2),
  maxDebugBytes: limit(KiB, 64 * KiB),
  /** Legal but useless: SETTINGS, PRIORITY, PING where nothing moved, credit for nothing, unknown frames and settings. */
  glitchBurst: limit(10_000, 1_000_000, 1),
  glitchRate: limit(330, 1_000_000),
  maxDecoderTableBytes: limit(4 * KiB, 64 * KiB),
  maxEncoderTableBytes: limit(4 * KiB, 64 * KiB),
  /** What a peer may send on one stream before it is read. Nothing would ever widen a window of 0. */
  streamWindow: limit(4 * MiB, 2 ** 31 - 1, 1),
  connectionWindow: limit(16 * MiB, 2 ** 31 - 1, 65_535),
  /** Connection credit is withheld above it: from then on who does not read holds up the others. */
  maxUnreadBytes: limit(64 * MiB, GiB, 1),
  /** Frames on streams that we reset are expected for a while; how many such streams are remembered. */
  rememberedResets: limit(128, 10_000),
  maxQueuedFrames: limit(5_000, 1_000_000, 16),
  settingsTimeout: timer(30_000),

  // ── proxies ──
  /** The head of a proxy's answer to CONNECT. */
  maxProxyHeadBytes: limit(64 * KiB, MiB, 64),
  /** How much of a proxy's refusal a ProxyError carries. */
  maxProxyContentBytes: limit(64 * KiB, MiB),

  // ── pool ──
  /** Law P8 (a), (b). */
  maxReplays: limit(5, 20),
  maxStaleRetries: limit(1, 1),
  /** Between replays of one origin while none of its requests completes; doubled up to the cap. */
  replayBackoff: limit(100, 60_000),
  replayBackoffCap: limit(10_000, 60_000),
  /** An abandoned response is read to its end up to so much, so that its connection can be used again. */
  drainBytes: limit(64 * KiB, 16 * MiB),
  drainTimeout: limit(1_000, 60_000),
  /** Start of the next address while earlier attempts go on. RFC 8305 §5. */
  attemptDelay: limit(250, 2_000, 10),
  /** How long requests wait for the first dial of an origin to tell whether they can share it. */
  shareTimeout: limit(250, 60_000),
  /** A server's Keep-Alive hint is followed up to here. */
  maxKeepAliveHint: limit(600_000, 3_600_000),
  /** How long content waits for 100 (Continue). RFC 9110 §10.1.1 leaves it open. */
  expectTimeout: timer(1_000),
  /** After a failed write the head of a response may still come, for so long. */
  earlyResponseGrace: timer(1_000),
  /** A `close` that the network does not answer becomes a `destroy`. */
  closeTimeout: limit(1_000, 60_000),
} as const satisfies Record<string, Spec>

/**
 * What a network is given before it has accepted it. Control frames are not stuck behind more, and only what a machine keeps
 * back holds its writer.
 */
export const MAX_AHEAD: number = 256 * KiB

export type LimitName = keyof typeof LIMITS
/** By name; null: off, where the table allows it. */
export type Limits = Readonly<Partial<Record<LimitName, number | null>>>
/** Every limit as a number; Infinity: off. */
export type ResolvedLimits = Readonly<Record<LimitName, number>>

/** What was resolved for a role is not resolved again: all connections of a pool share one object. */
const RESOLVED: Readonly<Record<Role, WeakSet<object>>> = { client: new WeakSet(), server: new WeakSet() }

/** Defaults of the role, overridden. TypeError: no such limit, or no number. RangeError: outside its bounds. */
export function resolveLimits(given: Limits | undefined, role: Role): ResolvedLimits {
  if (given === undefined) return defaultsOf(role)
  if (typeof given !== 'object') throw new TypeError('limits must be an object')
  if (RESOLVED[role].has(given)) return given as ResolvedLimits
  const own = { ...defaultsOf(role) } as Record<LimitName, number>
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(LIMITS, name)) throw new TypeError(`there is no limit '${name}'`)
    if (value !== undefined) own[name as LimitName] = checked(name as LimitName, value)
  }
  RESOLVED[role].add(Object.freeze(own))
  return own
}

function checked(name: LimitName, value: number | null): number {
  const spec: Spec = LIMITS[name]
  if (value === null) {
    if (!spec.off) throw new RangeError(`limit '${name}' cannot be turned off`)
    return Infinity
  }
  if (typeof value !== 'number') throw new TypeError(`limit '${name}' must be a number, not ${typeof value}`)
  if (!Number.isInteger(value) || value < spec.min || value > spec.max) {
    throw new RangeError(`limit '${name}' must be an integer from ${spec.min} to ${spec.max}, not ${value}`)
  }
  return value
}

const DEFAULTS: Partial<Record<Role, ResolvedLimits>> = {}
function defaultsOf(role: Role): ResolvedLimits {
  return (DEFAULTS[role] ??= Object.freeze(
    Object.fromEntries(Object.entries(LIMITS).map(([name, spec]) => [name, (spec as Spec)[role]])),
  ) as ResolvedLimits)
}
