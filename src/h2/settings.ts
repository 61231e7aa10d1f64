// SETTINGS (RFC 9113 §6.5): names, identifiers, bounds, and the payload of the frame. By name they are camelCase, as in
// `initialWindowSize`; one that no RFC of ours names goes by its decimal identifier, so that a harness can send it.
import { misuse, parseDecimal } from '../http/index.ts'
import type { Bytes } from '../http/index.ts'
import { DEFAULT_WINDOW, MAX_31, MIN_MAX_FRAME_SIZE, violation, type H2ErrorName, type Violation } from './frames.ts'
import { readUint32 } from './reader.ts'
import { writeUint32 } from './writer.ts'

const MAX_32 = 2 ** 32 - 1

interface Spec {
  readonly id: number
  readonly initial: number
  readonly min: number
  readonly max: number
  readonly error: H2ErrorName
  readonly rule: string
}
function spec(id: number, initial: number, min: number, max: number, error: H2ErrorName = 'PROTOCOL_ERROR'): Spec {
  return { id, initial, min, max, error, rule: 'RFC 9113 §6.5.2' }
}

export const SETTINGS = {
  headerTableSize: spec(0x1, 4_096, 0, MAX_32),
  enablePush: spec(0x2, 1, 0, 1),
  /** Infinity, until a value is sent. */
  maxConcurrentStreams: spec(0x3, Infinity, 0, MAX_32),
  initialWindowSize: spec(0x4, DEFAULT_WINDOW, 0, MAX_31, 'FLOW_CONTROL_ERROR'),
  maxFrameSize: spec(0x5, MIN_MAX_FRAME_SIZE, MIN_MAX_FRAME_SIZE, 2 ** 24 - 1),
  /** Infinity, until a value is sent. */
  maxHeaderListSize: spec(0x6, Infinity, 0, MAX_32),
  /** RFC 8441 §3. */
  enableConnectProtocol: { ...spec(0x8, 0, 0, 1), rule: 'RFC 8441 §3' },
  /** RFC 9218 §2.1. */
  noRfc7540Priorities: { ...spec(0x9, 0, 0, 1), rule: 'RFC 9218 §2.1' },
} as const satisfies Record<string, Spec>

export type SettingName = keyof typeof SETTINGS
export type Settings = Record<SettingName, number>

const NAMES = Object.keys(SETTINGS) as SettingName[]
const NAME_BY_ID: ReadonlyMap<number, SettingName> = new Map(NAMES.map((name) => [SETTINGS[name].id, name]))

/** What holds until SETTINGS says otherwise. */
export function initialSettings(): Settings {
  return Object.fromEntries(NAMES.map((name) => [name, SETTINGS[name].initial])) as Settings
}

/** One entry of a frame; without a name where no RFC of ours has one. */
export interface SettingEntry {
  readonly id: number
  readonly name: SettingName | undefined
  readonly value: number
}
export type SettingEntries = readonly SettingEntry[]

export function readSettings(payload: Bytes, start: number, end: number): SettingEntries {
  const entries: SettingEntry[] = []
  for (let at = start; at < end; at += 6) {
    const id = ((payload[at] as number) << 8) | (payload[at + 1] as number)
    entries.push({ id, name: NAME_BY_ID.get(id), value: readUint32(payload, at + 2) })
  }
  return entries
}

export function writeSettings(entries: SettingEntries): Bytes {
  const payload = new Uint8Array(6 * entries.length)
  entries.forEach(({ id, value }, i) => {
    payload.set([id >>> 8, id], 6 * i)
    writeUint32(payload, 6 * i + 2, value)
  })
  return payload
}

/** By name, the last value of each; unknown ones by identifier. */
export function namedSettings(entries: SettingEntries): Record<string, number> {
  return Object.fromEntries(entries.map(({ id, name = `${id}`, value }) => [name, value]))
}

/** What the peer may not say. All are validated before one is applied. */
export function checkSettings(entries: SettingEntries): Violation | undefined {
  for (const { name, value } of entries) {
    if (name === undefined) continue
    const { min, max, error, rule } = SETTINGS[name]
    if (value < min || value > max) return violation('settings', rule, `${name} is ${value}`, error)
  }
  return undefined
}

/** The caller's settings as entries. LocalProtocolError: unknown name, or a value that may not be sent. */
export function checkedSettings(settings: Readonly<Record<string, number>>, validate: boolean): SettingEntries {
  return Object.entries(settings).map(([given, value]) => {
    const id = Object.hasOwn(SETTINGS, given) ? SETTINGS[given as SettingName].id : parseDecimal(given)
    if (id < 0 || id > 0xffff) throw misuse('settings', 'RFC 9113 §6.5', `there is no setting '${given}'`)
    if (validate && id === SETTINGS.enablePush.id && value === 1) {
      throw misuse('settings', 'RFC 9113 §6.5.2', 'push is not supported')
    }
    const name = NAME_BY_ID.get(id)
    const { min, max } = validate && name !== undefined ? SETTINGS[name] : { min: 0, max: MAX_32 }
    if (!Number.isInteger(value) || value < min || value > max) {
      throw misuse('settings', 'RFC 9113 §6.5.2', `setting '${given}' must be an integer from ${min} to ${max}`)
    }
    return { id, name, value }
  })
}
