// The laws of a connection (C1 to C14, src/http/connection.ts), stated once and applied to every machine.
//
// A sibling says how to make a machine and what to play on it. A scene is a list of steps: bytes from the peer, its end,
// or something that we do. The player cuts the peer's bytes as it is told, drains the machine after each piece, lets the
// sibling react to each event, and writes down everything that came out.
import { fc, test } from '@fast-check/vitest'
import { describe, expect, vi } from 'vitest'
import {
  type Connection,
  type H11Event,
  type H2Event,
  type Ledger,
  LocalProtocolError,
  type Role,
} from '../../src/http/index.ts'

export type Machine = Connection<H11Event | H2Event>

export type Step =
  | { readonly peer: Uint8Array }
  /** The peer ends; `clean` as in receiveEof. */
  | { readonly eof: boolean }
  /** Something that we do; it may be refused. */
  | { readonly says: string; readonly act: (machine: Machine) => void }

export interface Scene {
  readonly role: Role
  readonly options: object
  readonly steps: readonly Step[]
}

export interface Sibling {
  readonly name: string
  make(role: Role, options: object): Machine
  /** Valid conversations, broken ones and garbage, in both roles. */
  readonly scenes: fc.Arbitrary<Scene>
  /** Bytes that are nobody's protocol. */
  readonly garbage: fc.Arbitrary<Uint8Array>
  /** What whoever holds the machine does on an event (a server answers). Must depend on nothing else. */
  react(machine: Machine, event: H11Event | H2Event): void
  /** A request that a free machine accepts. */
  request(machine: Machine): void
  /** Verbs that are refused in some state or in all: each throws LocalProtocolError or does its work. */
  readonly verbs: readonly ((machine: Machine) => void)[]
  /** Output with what may depend on cutting summed up (HTTP/2: WINDOW_UPDATEs). */
  readableOutput(bytes: Uint8Array): unknown
  /** What the machine holds for its peer, and the most that it may. */
  held(machine: Machine, options: object): { readonly bytes: number; readonly atMost: number }
  /** A peer whose message has ended may still reset the exchange, of which nothing more is told. */
  readonly resetsAfterEnd: boolean
  /** One whole exchange between mirrors: what was sent, and what arrived. */
  readonly mirror: fc.Arbitrary<() => { readonly sent: unknown; readonly arrived: unknown }>
}

/** What is done to the peer's bytes on their way. */
export interface Delivery {
  /** Where to cut a piece of n bytes: ascending positions. */
  readonly cuts: (n: number) => number[]
  /** How many events are asked for after a piece; left out: all. After a step all are. */
  readonly asks?: () => number
  /** How many bytes of output are taken at a time, until there are none; left out: all at once. */
  readonly takes?: number
  /** Overwrite each lent buffer once the machine was drained. C13. */
  readonly scribble?: boolean
  /** Called after each drain. */
  readonly watch?: (machine: Machine, transcript: Transcript) => void
}

export interface Transcript {
  readonly events: Readonly<Record<string, unknown>>[]
  readonly output: Uint8Array
  readonly machine: Machine
}

export const WHOLE: Delivery = { cuts: () => [] }
export const BYTE_BY_BYTE: Delivery = { cuts: (n) => Array.from({ length: Math.max(0, n - 1) }, (_, i) => i + 1) }
/** Cuts at pseudo-random places, the same for the same seed. */
export function cutBy(seed: number): Delivery {
  let state = seed >>> 0
  const next = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
  return { cuts: (n) => Array.from({ length: n }, (_, i) => i).filter((i) => i > 0 && next() < 0.15) }
}

/** The same, and not all events are asked for at once. */
export function lazily(seed: number): Delivery {
  let turn = seed
  return { ...cutBy(seed), asks: () => turn++ % 3 }
}

export function play(sibling: Sibling, scene: Scene, delivery: Delivery = WHOLE): Transcript {
  const machine = sibling.make(scene.role, scene.options)
  const events: Readonly<Record<string, unknown>>[] = []
  const output: number[] = []
  let switched = false
  const drain = (most = Infinity): void => {
    for (let asked = 0; asked < most; asked++) {
      const event = machine.nextEvent()
      if (event === undefined) break
      record(events, event)
      switched ||= event.type === 'switched'
      attempt(() => sibling.react(machine, event))
    }
    do for (const chunk of machine.takeOutput(delivery.takes)) output.push(...chunk)
    while (delivery.takes !== undefined && machine.outputBytes > 0)
    delivery.watch?.(machine, { events, output: Uint8Array.from(output), machine })
  }
  for (const step of scene.steps) {
    if ('act' in step) attempt(() => step.act(machine))
    else if ('eof' in step) machine.receiveEof(0, step.eof)
    else {
      let from = 0
      for (const to of [...delivery.cuts(step.peer.length), step.peer.length]) {
        const lent = step.peer.slice(from, to)
        // What follows a switch belongs to nobody's protocol, and goes on where `leading` ended.
        if (switched) {
          const last = events.findLastIndex(({ type }) => type === 'switched')
          events[last] = { ...events[last], leading: (events[last]?.['leading'] as string) + latin1(lent) }
        }
        machine.receiveData(lent, 0)
        drain(delivery.asks?.())
        if (delivery.scribble === true) lent.fill(0xa5)
        from = to
      }
    }
    drain()
  }
  return { events, output: Uint8Array.from(output), machine }
}

/** Which exchanges run, by what was asked of a machine and what it told. */
class Running {
  readonly #begun = new Set<number>()
  /** Our own message has ended. */
  readonly #sent = new Set<number>()

  note(machine: Machine): Machine {
    const { sendRequest, sendResponse, sendData, end } = machine
    machine.sendRequest = (head, options) => {
      const id = sendRequest.call(machine, head, options)
      this.#begun.add(id)
      if (options?.end === true) this.#sent.add(id)
      return id
    }
    machine.sendResponse = (id, head, options) => {
      sendResponse.call(machine, id, head, options)
      if (options?.end === true) this.#sent.add(id)
    }
    machine.sendData = (id, data, last) => {
      const room = sendData.call(machine, id, data, last)
      if (last === true) this.#sent.add(id)
      return room
    }
    machine.end = (id, trailers) => {
      end.call(machine, id, trailers)
      this.#sent.add(id)
    }
    return machine
  }
  count(events: Transcript['events']): { running: number; unanswered: number } {
    const told = (type: string): Set<unknown> =>
      new Set(events.filter((event) => event['type'] === type).map(({ exchange }) => exchange))
    const [requests, ended, failed, switched] = [told('request'), told('end'), told('failed'), told('switched')]
    const live = [...new Set([...this.#begun, ...requests])].filter((id) => !failed.has(id) && !switched.has(id))
    const unanswered = live.filter((id) => !ended.has(id)).length
    return { unanswered, running: live.filter((id) => !ended.has(id) || !this.#sent.has(id as number)).length }
  }
}

/** Runs a verb that may be refused; anything but a refusal is an error of the machine. */
export function attempt(verb: () => void): boolean {
  try {
    verb()
    return true
  } catch (error) {
    if (!(error instanceof LocalProtocolError)) throw error
    return false
  }
}

/** Events as plain values; adjacent data of one exchange joined. */
function record(events: Readonly<Record<string, unknown>>[], event: H11Event | H2Event): void {
  const last = events.at(-1)
  if (event.type !== 'data') {
    events.push(JSON.parse(JSON.stringify(event, plainly)) as Record<string, unknown>)
  } else if (last?.['type'] === 'data' && last['exchange'] === event.exchange) {
    events[events.length - 1] = { ...last, data: (last['data'] as string) + latin1(event.data) }
  } else if (event.data.length > 0) events.push({ ...event, data: latin1(event.data) })
}
function plainly(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? latin1(value) : value
}
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** informational*, then (response data* end, or response switched); or at any point failed. C3. */
const CLIENT_ORDER = /^(informational )*(response ((data |chunk )*(end )?|(end )?switched ))?(failed )?$/
const SERVER_ORDER = /^(request (data |chunk )*(end (switched )?)?)?(failed )?$/

const RUNS = { numRuns: 1_000 }
/** Milliseconds; it looks at the whole state after each byte. */
const SLOW = 120_000

export function describeConnectionLaws(sibling: Sibling): void {
  const same = (transcript: Transcript): unknown => [transcript.events, sibling.readableOutput(transcript.output)]

  describe(`the laws of a connection hold for ${sibling.name}`, () => {
    test.prop([sibling.scenes, fc.nat()], RUNS)('C1: cutting the bytes changes nothing', (scene, seed) => {
      const whole = same(play(sibling, scene))
      expect(same(play(sibling, scene, cutBy(seed)))).toEqual(whole)
      expect(same(play(sibling, scene, BYTE_BY_BYTE))).toEqual(whole)
    })

    test.prop([sibling.scenes, fc.nat()], RUNS)('C1: nor does when events are asked for', (scene, seed) => {
      expect(same(play(sibling, scene, lazily(seed)))).toEqual(same(play(sibling, scene)))
    })

    test.prop([fc.constantFrom<Role>('client', 'server'), sibling.garbage, fc.nat()], RUNS)(
      'C2: no bytes make it throw',
      (role, garbage, seed) => {
        const begin: Step = { says: 'request', act: (machine) => sibling.request(machine) }
        const scene: Scene = { role, options: {}, steps: [begin, { peer: garbage }, { eof: true }] }
        const { machine } = play(sibling, scene, cutBy(seed))
        expect(['need-data', 'paused', 'done']).toContain(machine.readState)
      },
    )

    test.prop([sibling.scenes], RUNS)('C3: an exchange is told in order, and then nothing', (scene) => {
      const told = new Map<unknown, string>()
      for (const { type, exchange } of play(sibling, scene).events) {
        if (exchange !== undefined && type !== 'writable')
          told.set(exchange, (told.get(exchange) ?? '') + `${String(type)} `)
      }
      for (const order of told.values()) expect(order).toMatch(scene.role === 'client' ? CLIENT_ORDER : SERVER_ORDER)
    })

    test.prop([sibling.scenes, fc.nat()], RUNS)(
      'C4: capacity > 0 exactly when a request is accepted',
      (scene, seed) => {
        const steps = scene.steps.slice(0, seed % (scene.steps.length + 1))
        const { machine } = play(sibling, { ...scene, steps }, cutBy(seed))
        const free = machine.capacity > 0
        expect(attempt(() => sibling.request(machine))).toBe(free)
      },
    )

    test.prop([sibling.scenes, fc.nat()], RUNS)('C5: active counts what was begun and has not ended', (scene, seed) => {
      const ledger = new Running()
      const noting: Sibling = { ...sibling, make: (role, options) => ledger.note(sibling.make(role, options)) }
      const watch = (machine: Machine, { events }: Transcript): void => {
        const over = machine.closed || events.some(({ type }) => type === 'error' || type === 'closed')
        const { running, unanswered } = ledger.count(events)
        expect(machine.active).toBeLessThanOrEqual(over ? 0 : running)
        if (!over) expect(machine.active).toBeGreaterThanOrEqual(sibling.resetsAfterEnd ? unanswered : running)
      }
      const { machine } = play(noting, scene, { ...cutBy(seed), watch })
      machine.abort()
      expect(machine.active).toBe(0)
    })

    test.prop([sibling.scenes, fc.nat()], RUNS)('C6: a refused verb changes nothing', (scene, seed) => {
      const steps = scene.steps.slice(0, seed % (scene.steps.length + 1))
      const { machine } = play(sibling, { ...scene, steps }, cutBy(seed))
      for (const verb of sibling.verbs) {
        const before = JSON.stringify([machine.snapshot(), machine.capacity, machine.active, machine.outputBytes])
        if (attempt(() => verb(machine))) continue
        expect(JSON.stringify([machine.snapshot(), machine.capacity, machine.active, machine.outputBytes])).toBe(before)
      }
    })

    test.prop([sibling.scenes, fc.integer({ min: 1, max: 64 })], RUNS)(
      'C7: output taken is gone, and comes whole however much is taken at a time',
      (scene, takes) => {
        const watch = (machine: Machine): void => expect([machine.outputBytes, machine.takeOutput()]).toEqual([0, []])
        expect(same(play(sibling, scene, { ...WHOLE, takes, watch }))).toEqual(same(play(sibling, scene)))
      },
    )

    test.prop([sibling.scenes, fc.nat()], RUNS)('C8: closed is for ever', (scene, seed) => {
      const { machine } = play(sibling, scene, cutBy(seed))
      machine.abort()
      // HTTP/2 still says GOAWAY.
      machine.takeOutput()
      const reason = machine.closeReason
      for (const step of scene.steps) {
        if ('peer' in step) machine.receiveData(step.peer.slice(), 0)
        else if ('act' in step) attempt(() => step.act(machine))
        else machine.receiveEof(0)
        expect(machine.nextEvent()).toBeUndefined()
      }
      expect([machine.closed, machine.capacity, machine.outputBytes]).toEqual([true, 0, 0])
      expect([machine.readState, machine.wantsClose, machine.closeReason]).toEqual(['done', 'now', reason])
    })

    test.prop([sibling.mirror], RUNS)('C9: what one sends its mirror receives', (converse) => {
      const { sent, arrived } = converse()
      expect(arrived).toEqual(sent)
    })

    test.prop([sibling.scenes, fc.nat()], RUNS)(
      'C10: what it holds stays within its limits',
      (scene, seed) => {
        const watch = (machine: Machine): void => {
          const { bytes, atMost } = sibling.held(machine, scene.options)
          expect(bytes).toBeLessThanOrEqual(atMost)
        }
        play(sibling, scene, { ...cutBy(seed), watch })
        play(sibling, scene, { ...BYTE_BY_BYTE, watch })
      },
      SLOW,
    )

    test.prop([sibling.scenes, fc.nat()], RUNS)('C11: same inputs, same outputs', (scene, seed) => {
      const once = play(sibling, scene, cutBy(seed))
      const again = play(sibling, scene, cutBy(seed))
      expect(same(again)).toEqual(same(once))
      expect(again.machine.snapshot()).toEqual(once.machine.snapshot())
    })

    test.prop([sibling.scenes], { numRuns: 200 })(
      'C12: bytes that come singly are not copied over and over',
      (scene) => {
        const bytes = scene.steps.reduce((sum, step) => sum + ('peer' in step ? step.peer.length : 0), 0)
        const set = vi.spyOn(Uint8Array.prototype, 'set')
        try {
          play(sibling, scene, BYTE_BY_BYTE)
          // Each byte once into a buffer, and again at each doubling of it; some for messages of our own.
          const copied = set.mock.calls.reduce((sum, [source]) => sum + source.length, 0)
          expect(copied).toBeLessThanOrEqual(6 * bytes + 1_024)
        } finally {
          set.mockRestore()
        }
      },
    )

    test.prop([sibling.scenes, fc.nat()], RUNS)(
      'C13: overwriting what was lent changes nothing delivered',
      (scene, seed) => {
        const undisturbed = same(play(sibling, scene, cutBy(seed)))
        expect(same(play(sibling, scene, { ...cutBy(seed), scribble: true }))).toEqual(undisturbed)
        expect(same(play(sibling, scene, { ...WHOLE, scribble: true }))).toEqual(same(play(sibling, scene)))
      },
    )

    test.prop([fc.array(upload, { maxLength: 12 })], { numRuns: 300 })(
      'C14: what was handed over is unsent until the mirror has it, and whose unsent changes is named',
      (uploads) => {
        const pair = new Uploads(sibling)
        for (const { begins, which, size, ends, takes } of uploads) {
          if (begins) pair.begin()
          pair.hand(which, size, ends)
          pair.carry(takes)
        }
        pair.answer()
        pair.finish()
      },
    )
  })
}

const upload = fc.record({
  begins: fc.boolean(),
  which: fc.nat(5),
  size: fc.oneof(fc.nat(10), fc.nat(100_000)),
  ends: fc.boolean(),
  takes: fc.oneof(fc.nat(100), fc.nat(100_000)),
})
interface Handed {
  readonly id: number
  readonly ledger: Ledger
  /** Octets of content, and whether its end, given to the client and seen by the server. */
  given: number
  seen: number
  ended: boolean
  endSeen: boolean
}
/** A client that uploads and its mirror, which opens no window before it answers. */
class Uploads {
  readonly #client: Machine
  readonly #server: Machine
  readonly #all: Handed[] = []
  #octets = 0
  constructor(sibling: Sibling) {
    this.#client = sibling.make('client', {})
    this.#server = sibling.make('server', {})
  }
  begin(): void {
    if (this.#client.capacity === 0) return
    const head = {
      method: 'POST',
      scheme: 'https',
      authority: 'a',
      target: '/',
      headers: [],
      content: 'unknown',
    } as const
    const ledger = { bytesSent: 0, bytesReceived: 0 }
    const id = this.#client.sendRequest(head, { ledger })
    this.#all.push({ id, ledger, given: 0, seen: 0, ended: false, endSeen: false })
  }
  hand(which: number, size: number, ends: boolean): void {
    const one = this.#all[which % Math.max(1, this.#all.length)]
    if (one === undefined || one.ended) return
    if (attempt(() => void this.#client.sendData(one.id, new Uint8Array(size)))) one.given += size
    if (!ends) return
    this.#client.end(one.id)
    one.ended = true
  }
  carry(most: number): void {
    const client = this.#client
    const before = this.#all.map(({ id }) => client.unsent(id))
    const chunks = client.takeOutput(most)
    const { taken } = client
    this.#all.forEach(({ id }, i) => {
      if (client.unsent(id) !== before[i]) expect(taken).toContain(id)
    })
    for (const chunk of chunks) this.#receive(chunk.slice())
    for (const { id, given, seen, ended, endSeen } of this.#all) {
      const all = given === seen && ended === endSeen
      if (client.unsent(id) === 0) expect(all, 'nothing is unsent, and it is all there').toBe(true)
      else if (client.outputBytes === 0) expect(all, 'it is all there, and something is unsent').toBe(false)
    }
  }
  #receive(bytes: Uint8Array): void {
    this.#octets += bytes.length
    this.#server.receiveData(bytes, 0)
    for (let event = this.#server.nextEvent(); event !== undefined; event = this.#server.nextEvent()) {
      const { exchange } = event as { exchange?: number }
      const one = this.#all.find(({ id }) => id === exchange)
      if (one === undefined) continue
      if (event.type === 'end') one.endSeen = true
      if (event.type !== 'data') continue
      one.seen += event.data.length
      this.#server.consume(one.id, event.data.length)
    }
  }
  /** What the server says of windows reaches the client. */
  answer(): void {
    for (const chunk of this.#server.takeOutput()) this.#client.receiveData(chunk.slice(), 0)
    while (this.#client.nextEvent() !== undefined);
  }
  finish(): void {
    for (let n = 0; n < 1_000 && this.#all.some(({ id }) => this.#client.unsent(id) > 0); n++) {
      this.carry(10_000)
      this.answer()
    }
    for (const { id, given, seen, ended, endSeen } of this.#all) {
      expect([this.#client.unsent(id), seen, endSeen]).toEqual([0, given, ended])
    }
    const sent = this.#all.reduce((sum, { ledger }) => sum + ledger.bytesSent, 0)
    expect(sent, 'no ledger counts what is nobody’s').toBeLessThanOrEqual(this.#octets)
    for (const { given, ledger } of this.#all) expect(ledger.bytesSent).toBeGreaterThan(given)
  }
}
