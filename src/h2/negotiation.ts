// SETTINGS in both directions (RFC 9113 §6.5): what the peer says holds from when it is read; what we say from when the
// peer acknowledges it, but for what it need not know of: more streams are refused at once, and `:protocol` understood.
// All values of a frame are checked before one is applied.
import { misuse } from '../http/index.ts'
import type { Millis } from '../http/index.ts'
import { ACK_WITH_PAYLOAD, calm } from './faults.ts'
import { grown } from './flow.ts'
import { FLAG, FRAME, violation, type Violation } from './frames.ts'
import type { Session } from './session.ts'
import {
  checkSettings,
  initialSettings,
  namedSettings,
  readSettings,
  writeSettings,
  type SettingEntries,
  type SettingEntry,
  type Settings,
} from './settings.ts'
import { isClosed } from './state.ts'
import type { Stream } from './stream.ts'

/** SETTINGS that were sent and are not acknowledged. */
interface SentSettings {
  readonly entries: SettingEntries
  readonly deadline: Millis
}

export class Negotiation {
  /** What we said last, acknowledged or not. */
  readonly said: Settings = initialSettings()
  readonly #session: Session
  readonly #sent: SentSettings[] = []

  constructor(session: Session) {
    this.#session = session
  }

  // ── the peer's ──

  onSettings(): void {
    const session = this.#session
    const { flags, length, bytes, start, end } = session.reader
    if ((flags & FLAG.ACK) !== 0) {
      if (length === 0) return this.#onAck()
      return session.break(ACK_WITH_PAYLOAD)
    }
    const entries = readSettings(bytes, start, end)
    const wrong = checkSettings(entries) ?? this.#wrongNow(entries)
    if (wrong !== undefined) return session.break(wrong)
    if (entries.length > session.limits.maxSettingsEntries) return void session.calm('limit-settings')
    // The first is owed; more are legal. One that has unknown settings was counted by these.
    const first = !session.peerSettingsSeen
    const counted = first || entries.some(({ name }) => name === undefined)
    if ((!counted && !session.glitch()) || !session.reply() || !this.#apply(entries)) return
    session.peerSettingsSeen = true
    session.sender.output.header(0, FRAME.SETTINGS, FLAG.ACK, 0)
    session.tell({ type: 'settings', settings: namedSettings(entries), first })
    session.holdBack()
    if (session.role === 'client' && session.life === 'open') {
      session.tell({ type: 'slots', capacity: session.capacity })
    }
  }

  /** What is wrong only from this peer, or only now. */
  #wrongNow(entries: SettingEntries): Violation | undefined {
    const { role, floods, now, peer, peerSettingsSeen } = this.#session
    for (const entry of entries) {
      const { name, value } = entry
      if (name === undefined && !floods.glitches.take(now)) return calm('limit-glitches')
      if (name === 'enablePush' && role === 'client' && value !== 0) {
        return violation('settings', 'RFC 9113 §6.5.2', 'a server may not enable push')
      }
      const wrong = peerSettingsSeen ? wrongChange(entry, peer) : undefined
      if (wrong !== undefined) return wrong
    }
    return undefined
  }

  #apply(entries: SettingEntries): boolean {
    const { peer, sender, streams } = this.#session
    // Once, however often the frame says the same: to sort them for each entry is work that costs the peer six octets.
    const all = streams.all()
    for (const { name, value } of entries) {
      if (name === undefined) continue
      if (name === 'initialWindowSize' && !this.#shiftSendWindows(all, value - peer.initialWindowSize)) {
        const wrong = violation('flow-control', 'RFC 9113 §6.9.2', 'a window above 2^31−1', 'FLOW_CONTROL_ERROR')
        this.#session.break(wrong)
        return false
      }
      peer[name] = value
      if (name === 'headerTableSize') sender.encoder.setPeerMaxTableSize(value)
      else if (name === 'maxFrameSize') sender.peerMaxFrameSize = value
    }
    return true
  }

  #shiftSendWindows(streams: readonly Stream[], by: number): boolean {
    if (by === 0) return true
    for (const stream of streams) {
      // One that is kept for what is unread of it has no window to send in any more.
      if (isClosed(stream.state)) continue
      const window = grown(stream.sendWindow, by)
      if (window === undefined) return false
      stream.sendWindow = window
      this.#session.sender.windowMoved(stream)
    }
    return true
  }

  // ── ours ──

  send(entries: SettingEntries): void {
    const { sender, now, limits } = this.#session
    sender.output.copied(FRAME.SETTINGS, 0, 0, writeSettings(entries))
    this.#sent.push({ entries, deadline: now + limits.settingsTimeout })
    for (const { name, value } of entries) {
      if (name !== undefined) this.said[name] = value
    }
  }

  /** LocalProtocolError: what may not be said after what was said. */
  checkChange(entries: SettingEntries): void {
    for (const entry of entries) {
      const wrong = wrongChange(entry, this.said)
      if (wrong !== undefined) throw misuse(wrong.code, wrong.rule, wrong.message)
    }
  }

  #onAck(): void {
    const { local, reader, decoder, streams } = this.#session
    const sent = this.#sent.shift()
    if (sent === undefined) return void this.#session.glitch()
    for (const { name, value } of sent.entries) {
      if (name === undefined) continue
      local[name] = value
      if (name === 'headerTableSize') decoder.setMaxTableSize(value)
      else if (name === 'maxHeaderListSize') decoder.maxListBytes = value
      else if (name === 'maxFrameSize') reader.maxFrameSize = value
      else if (name === 'initialWindowSize') {
        for (const stream of streams.all()) {
          stream.window.resize(value)
          // Credit that was too little to announce under the old size may be much under the new one.
          this.#session.credit(stream, 0)
        }
      }
    }
    this.#session.tell({ type: 'settings-ack' })
  }

  /** How many of our SETTINGS are not acknowledged, and until when the first of them may take. */
  get pending(): number {
    return this.#sent.length
  }
  get deadline(): Millis {
    return this.#sent[0]?.deadline ?? Infinity
  }
}

/** What neither side may say after what it said before. */
function wrongChange({ name, value }: SettingEntry, before: Settings): Violation | undefined {
  if (name === 'enableConnectProtocol' && value < before[name]) {
    return violation('settings', 'RFC 8441 §3', 'extended CONNECT cannot be taken back')
  }
  if (name === 'noRfc7540Priorities' && value !== before[name]) {
    return violation('settings', 'RFC 9218 §2.1', `${name} is settled by the first SETTINGS`)
  }
  return undefined
}
