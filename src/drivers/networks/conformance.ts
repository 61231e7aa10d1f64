// What every network must hold to, whatever carries its bytes, as a list of named checks for any test runner. A network
// takes part by a Subject, which knows how to listen, how to play the peer, and how to let a little time pass.
//
// A check plays one link or a few, and looks at the facts. What no network may ever do (speak from inside a call or after
// closed, drain nothing) is looked for in all of them.
import type { Bytes } from '../../http/index.ts'
import type { ConnectTarget, LinkInfo, TlsTarget } from '../../pool/lean.ts'
import type { Link, Network, NetworkCapabilities, Sink } from '../network.ts'

/** The far end of a connection, as a check plays it. */
export interface Peer {
  write(bytes: Bytes): void
  end(): void
  reset(): void
  pause(): void
  resume(): void
}
/** What the far end does; bytes are lent to it. */
export interface PeerScript {
  open?(peer: Peer): void
  data?(bytes: Bytes, peer: Peer): void
  end?(peer: Peer): void
}
/** A certificate for `localhost`, signed by one who is trusted; or what is wrong with it. */
export type PeerIdentity = 'good' | 'untrusted' | 'wrongName' | 'expired'
export interface PeerTls {
  readonly identity: PeerIdentity
  readonly alpn?: readonly string[]
  /** The handshake is asked for over what is connected. */
  readonly later?: boolean
}
/** A network, and the world around it. */
export interface Subject {
  readonly network: Network
  /** Lets a little happen: a few milliseconds, or a step of a clock. Facts that have to be fetched are fetched here. */
  turn(): void | Promise<void>
  listen(script: PeerScript, tls?: PeerTls): Promise<ConnectTarget>
  /** Where nobody listens. */
  nobody(): Promise<ConnectTarget>
  /** TLS options that trust the good certificate. */
  readonly trust: unknown
}
export interface Check {
  readonly name: string
  /** Rejects with what does not hold. */
  run(subject: Subject): Promise<void>
}

/** Of `until`, in turns. */
const PATIENCE = 5_000
const QUIET = 25

function holds(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}
function same(actual: unknown, expected: unknown): void {
  const [a, b] = [actual, expected].map((value) => JSON.stringify(value))
  holds(a === b, `${a} where ${b} was expected`)
}

/** Notes every fact, runs of received and of drained as one, and what no network may do. */
export class Recorder implements Sink {
  readonly facts: string[] = []
  readonly violations: string[] = []
  /** The first 4 KiB. */
  readonly content: number[] = []
  bytes = 0
  drainedBytes = 0
  error: unknown
  alpn: string | undefined
  /** Answer `true` to received. */
  keep = false
  readonly kept: { readonly data: Bytes; readonly copy: Bytes }[] = []
  onReceived: (data: Bytes) => void = () => {}
  inCall = false

  #note(fact: string): void {
    if (this.inCall) this.violations.push(`${fact} from inside a call`)
    if (this.has('closed')) this.violations.push(`${fact} after closed`)
    if ((fact === 'connected' || fact === 'eof') && this.has(fact)) this.violations.push(`${fact} twice`)
    if (this.facts.some((f) => f.startsWith('failed') && f !== 'failed write') && fact !== 'closed') {
      this.violations.push(`${fact} after failed`)
    }
    this.facts.push(fact)
  }
  has(fact: string): boolean {
    return this.facts.includes(fact)
  }
  connected(): void {
    this.#note('connected')
  }
  secured(info: LinkInfo): void {
    this.alpn = info.alpn
    this.#note('secured')
  }
  received(data: Bytes): boolean {
    if (this.facts.at(-1) !== 'received') this.#note('received')
    if (data.length === 0 || data.length > 65_536) this.violations.push(`received ${data.length} bytes`)
    this.bytes += data.length
    if (this.bytes <= 4096) this.content.push(...data)
    if (this.keep) this.kept.push({ data, copy: data.slice() })
    this.onReceived(data)
    return this.keep
  }
  drained(bytes: number): void {
    if (bytes <= 0) this.violations.push(`drained ${bytes}`)
    this.drainedBytes += bytes
    if (this.facts.at(-1) !== 'drained') this.#note('drained')
  }
  eof(): void {
    this.#note('eof')
  }
  failed(error: unknown, side: string): void {
    this.error = error
    this.#note(`failed ${side}`)
  }
  closed(): void {
    this.#note('closed')
  }
}

const VERBS = ['write', 'end', 'pause', 'resume', 'startTls', 'ref', 'unref', 'close', 'destroy'] as const

/** Dials, and wraps every verb so that a fact from inside it is seen. */
export function dial(network: Network, target: ConnectTarget): { readonly sink: Recorder; readonly link: Link } {
  const sink = new Recorder()
  const guarded = <T>(call: () => T): T => {
    const before = sink.inCall
    sink.inCall = true
    try {
      return call()
    } finally {
      sink.inCall = before
    }
  }
  const inner = guarded(() => network.connect(target, sink))
  const wrap = (verb: (typeof VERBS)[number]) => [
    verb,
    (argument: never) => guarded(() => (inner[verb] as (argument: never) => void)(argument)),
  ]
  return { sink, link: Object.fromEntries(VERBS.map(wrap)) as Link }
}

/** One run of one check: its links, and how it waits. */
class Trial {
  readonly subject: Subject
  readonly #dialled: ReturnType<typeof dial>[] = []

  constructor(subject: Subject) {
    this.subject = subject
  }
  async dial(script: PeerScript, tls?: TlsTarget, far?: PeerTls): Promise<ReturnType<typeof dial>> {
    return this.to({ ...(await this.subject.listen(script, far)), tls })
  }
  to(target: ConnectTarget): ReturnType<typeof dial> {
    const one = dial(this.subject.network, target)
    this.#dialled.push(one)
    return one
  }
  async until(what: () => boolean): Promise<void> {
    for (let i = 0; i < PATIENCE && !what(); i++) await this.subject.turn()
    holds(what(), `it did not happen: ${what}; ${JSON.stringify(this.#dialled.map(({ sink }) => sink.facts))}`)
  }
  async quiet(): Promise<void> {
    for (let i = 0; i < QUIET; i++) await this.subject.turn()
  }
  tls(more: Readonly<Record<string, unknown>> = {}, alpn: readonly string[] = ['h2', 'http/1.1']): TlsTarget {
    return { serverName: 'localhost', alpn, options: { ...(this.subject.trust as object), ...more } }
  }
  async over(): Promise<void> {
    for (const { link } of this.#dialled) link.destroy()
    await this.until(() => this.#dialled.every(({ sink }) => sink.has('closed')))
    same(
      this.#dialled.map(({ sink }) => sink.violations),
      this.#dialled.map(() => []),
    )
  }
}

const ECHO: PeerScript = { data: (bytes, peer) => peer.write(bytes.slice()), end: (peer) => peer.end() }
/** No two places of it look alike, nor does another's. */
const markAt = (offset: number, whose: number): number =>
  (offset * 31 + (offset >>> 8) * 7 + (offset >>> 16) * 13 + whose * 101) & 0xff
const marked = (size: number, whose: number): Bytes => Uint8Array.from({ length: size }, (_, i) => markAt(i, whose))
const bytesOf = (s: string): Bytes => Uint8Array.from(s, (char) => char.charCodeAt(0))
const textOf = (bytes: Iterable<number>): string => String.fromCharCode(...bytes)
const failures = (sink: Recorder): string[] => sink.facts.filter((fact) => fact.startsWith('failed'))
const code = (sink: Recorder): unknown => (sink.error as { code?: unknown } | undefined)?.code

type Body = (at: Trial) => Promise<void>

const ALL: Readonly<Record<string, Body>> = {
  'connecting is answered by connected': async (at) => {
    const { sink, link } = await at.dial({})
    await at.until(() => sink.has('connected'))
    link.destroy()
    await at.until(() => sink.has('closed'))
    same(sink.facts, ['connected', 'closed'])
  },
  'connecting where nobody listens fails with side connect, then closes': async (at) => {
    const { sink } = at.to(await at.subject.nobody())
    await at.until(() => sink.has('closed'))
    same([sink.facts, code(sink)], [['failed connect', 'closed'], 'ECONNREFUSED'])
  },
  'connecting and destroyed at once says only closed': async (at) => {
    const { sink, link } = at.to(await at.subject.listen({}))
    link.destroy()
    await at.quiet()
    same(sink.facts, ['closed'])
  },
  'catching up is answered once for each, in order, and not from inside the call (where a network does that)': async (
    at,
  ) => {
    const { network } = at.subject
    if (network.caughtUp === undefined) return
    const { sink } = await at.dial({ open: (peer) => (peer.write(bytesOf('bye')), peer.end()) })
    const answers: string[] = []
    for (const name of ['first', 'second']) {
      network.caughtUp(() => answers.push(name))
      same(answers, [])
    }
    await at.until(() => answers.length === 2 && sink.has('eof'))
    same(answers, ['first', 'second'])
  },
  'bytes come back in order, whatever the chunks': async (at) => {
    const { sink, link } = await at.dial(ECHO)
    link.write([bytesOf('one '), bytesOf(''), bytesOf('two ')])
    link.write([bytesOf('three')])
    await at.until(() => sink.bytes === 13 && sink.drainedBytes === 13)
    same(textOf(sink.content), 'one two three')
  },
  'bytes of two links, both ways at once, come back as they were written': async (at) => {
    const size = 1_000_000
    const wrong: string[] = []
    const links = [await at.dial(ECHO), await at.dial(ECHO)]
    for (const [whose, { sink, link }] of links.entries()) {
      sink.onReceived = (data) => {
        const from = sink.bytes - data.length
        const place = data.findIndex((byte, i) => byte !== markAt(from + i, whose))
        if (place >= 0) wrong.push(`another byte at ${from + place} of link ${whose}`)
      }
      const bytes = marked(size, whose)
      for (let i = 0; i < size; i += 250_000) link.write([bytes.slice(i, i + 250_000)])
    }
    await at.until(() => links.every(({ sink }) => sink.bytes >= size && sink.drainedBytes === size))
    same([wrong.slice(0, 1), links.map(({ sink }) => sink.bytes)], [[], [size, size]])
  },
  'bytes of a large write are all drained, and not before the peer reads': async (at) => {
    let far = 0
    let peer: Peer | undefined
    const { sink, link } = await at.dial({ open: (p) => (p.pause(), (peer = p)), data: (b) => (far += b.length) })
    const size = 16 * 1024 * 1024
    link.write([new Uint8Array(size)])
    await at.until(() => peer !== undefined && sink.has('connected'))
    await at.quiet()
    holds(sink.drainedBytes < size, 'all was drained while the peer did not read')
    peer?.resume()
    await at.until(() => far === size && sink.drainedBytes === size)
  },
  'bytes are held back while paused: at most what was already read comes': async (at) => {
    const size = 8 * 1024 * 1024
    const { sink, link } = await at.dial({ open: (p) => p.write(new Uint8Array(size)) })
    sink.onReceived = () => link.pause()
    await at.until(() => sink.bytes > 0)
    await at.quiet()
    holds(sink.bytes <= 128 * 1024, `${sink.bytes} bytes came after pause`)
    sink.onReceived = () => {}
    link.resume()
    await at.until(() => sink.bytes === size)
  },
  ...Object.fromEntries(
    [1, 100_000].map((size) => [`bytes that were kept stay as they are: ${size} at a time`, kept(size)]),
  ),
  'the end by close comes after everything was written': async (at) => {
    let far = 0
    let ended = false
    const { sink, link } = await at.dial({
      data: (b) => (far += b.length),
      end: (p) => ((ended = true), p.end()),
    })
    await at.until(() => sink.has('connected'))
    link.write([new Uint8Array(3_000_000)])
    link.close()
    await at.until(() => sink.has('closed') && ended)
    same([far, sink.drainedBytes], [3_000_000, 3_000_000])
  },
  'the end by close does not wait for the end of the peer': async (at) => {
    const { sink, link } = await at.dial({})
    link.write([bytesOf('x')])
    link.close()
    await at.until(() => sink.has('closed'))
    same(failures(sink), [])
  },
  'the end by destroy does not wait for what was written': async (at) => {
    const { sink, link } = await at.dial({ open: (p) => p.pause() })
    await at.until(() => sink.has('connected'))
    link.write([new Uint8Array(16 * 1024 * 1024)])
    await at.quiet()
    link.destroy()
    await at.until(() => sink.has('closed'))
    same(failures(sink), [])
  },
  'the end by destroy says nothing but closed': async (at) => {
    const { sink, link } = await at.dial({ open: (p) => p.write(new Uint8Array(1_000_000)) })
    await at.until(() => sink.bytes > 0)
    link.destroy()
    const before = sink.bytes
    await at.until(() => sink.has('closed'))
    await at.quiet()
    same([sink.bytes, sink.facts.at(-1)], [before, 'closed'])
  },
  'the end by a reset fails once, then closes': async (at) => {
    const { sink, link } = await at.dial({ data: (_, p) => p.reset() })
    link.write([bytesOf('x')])
    await at.until(() => sink.has('closed'))
    same([failures(sink).length, code(sink)], [1, 'ECONNRESET'])
  },
  'verbs after closed do nothing': async (at) => {
    const { sink, link } = at.to(await at.subject.listen({}))
    link.destroy()
    await at.until(() => sink.has('closed'))
    link.write([bytesOf('x')])
    for (const verb of ['end', 'pause', 'resume', 'ref', 'unref', 'close', 'destroy'] as const) link[verb]()
    await at.quiet()
    same(sink.facts, ['closed'])
  },
  'a timer fires once, in its order, never early, not when it was called off': async (at) => {
    const { network } = at.subject
    const fired: number[] = []
    const start = network.now()
    network.timer(start + 30, () => fired.push(network.now() - start), true)
    network.timer(start + 10, () => fired.push(network.now() - start), true)
    const off = network.timer(start + 20, () => fired.push(-1), true)
    off()
    await at.until(() => fired.length === 2)
    holds((fired[0] as number) >= 9 && (fired[1] as number) >= 29, `the timers fired at ${fired.join()}`)
  },
  'a timer that is due already fires all the same, but not from inside the call; to call it off then does nothing':
    async (at) => {
      const { network } = at.subject
      const fired: boolean[] = []
      let inside = true
      const off = network.timer(network.now() - 1, () => fired.push(inside), true)
      inside = false
      await at.until(() => fired.length > 0)
      off()
      await at.quiet()
      same(fired, [false])
    },
  'a timer takes a wait that is longer than any of the platform': async (at) => {
    let fired = false
    const off = at.subject.network.timer(at.subject.network.now() + 2 ** 40, () => (fired = true), false)
    await at.quiet()
    off()
    holds(!fired, 'it fired at once')
  },
  'an address resolves to itself, and not from inside the call': async (at) => {
    const answers: unknown[] = []
    let inside = true
    at.subject.network.resolve('127.0.0.1', (error, addresses) => answers.push(inside, error === undefined, addresses))
    inside = false
    await at.until(() => answers.length > 0)
    same(answers, [false, true, ['127.0.0.1']])
  },
}

/** Each round is answered at once, so that a large one is more than one piece. */
function kept(size: number): Body {
  return async (at) => {
    const answered = (): PeerScript => {
      let far = 0
      return {
        data: (bytes, peer) => {
          far += bytes.length
          if (far % size === 0) peer.write(new Uint8Array(size).fill(far / size))
        },
      }
    }
    const links = [await at.dial(answered()), await at.dial(answered()), await at.dial(answered())]
    const { sink } = links[0] as (typeof links)[number]
    sink.keep = true
    for (let round = 1; round <= 20; round++) {
      for (const { link } of links) link.write([new Uint8Array(size)])
      await at.until(() => links.every((one) => one.sink.bytes === round * size))
    }
    const buffers = new Set(sink.kept.map(({ data }) => data.buffer))
    holds(buffers.size === sink.kept.length, 'two pieces that were kept share a buffer')
    for (const { data, copy } of sink.kept)
      holds(
        data.every((byte, i) => byte === copy[i]),
        'a kept buffer was changed',
      )
  }
}

const HALF_CLOSE: Readonly<Record<string, Body>> = {
  'the end of our half reaches the peer after the bytes; its half goes on; both ended closes': async (at) => {
    let seen = ''
    const { sink, link } = await at.dial({
      data: (b) => (seen += textOf(b)),
      end: (peer) => ((seen += '.'), peer.write(bytesOf('late')), peer.end()),
    })
    link.write([bytesOf('ab')])
    link.end()
    await at.until(() => sink.has('closed'))
    same([seen, textOf(sink.content), sink.facts.slice(-3)], ['ab.', 'late', ['received', 'eof', 'closed']])
  },
  'the end of the peer comes after its bytes and leaves our half open': async (at) => {
    let far = 0
    const { sink, link } = await at.dial({
      open: (p) => (p.write(bytesOf('bye')), p.end()),
      data: (b) => (far += b.length),
    })
    await at.until(() => sink.has('eof'))
    same(textOf(sink.content), 'bye')
    link.write([bytesOf('still')])
    await at.until(() => far === 5)
    holds(!sink.has('closed'), 'it closed with our half open')
    link.end()
    await at.until(() => sink.has('closed'))
    same(failures(sink), [])
  },
}

const TLS: Readonly<Record<string, Body>> = {
  'TLS follows connecting by itself, with the protocol that was chosen; twice, the second may resume': async (at) => {
    const target = await at.subject.listen(ECHO, { identity: 'good', alpn: ['h2'] })
    for (let i = 0; i < 2; i++) {
      const { sink, link } = at.to({ ...target, tls: at.tls() })
      await at.until(() => sink.has('secured'))
      link.write([new Uint8Array(300_000)])
      await at.until(() => sink.bytes === 300_000 && sink.drainedBytes === 300_000)
      link.end()
      await at.until(() => sink.has('closed'))
      same([sink.alpn, sink.facts.slice(0, 2), sink.has('eof')], ['h2', ['connected', 'secured'], true])
      same(sink.facts.lastIndexOf('secured'), 1)
    }
  },
  ...Object.fromEntries(
    (
      [
        ['untrusted', undefined],
        ['wrongName', null],
        ['expired', 0],
      ] as const
    ).map(([identity, rejectUnauthorized]) => [
      `TLS refuses a certificate: ${identity}; rejectUnauthorized: ${rejectUnauthorized} is not false`,
      async (at: Trial) => {
        const { sink } = await at.dial(ECHO, at.tls({ rejectUnauthorized }), { identity })
        await at.until(() => sink.has('closed'))
        same(sink.facts, ['connected', 'failed tls', 'closed'])
      },
    ]),
  ),
  'TLS takes it with rejectUnauthorized: false, and does not remember that for the next': async (at) => {
    const target = await at.subject.listen(ECHO, { identity: 'untrusted' })
    const loose = at.to({ ...target, tls: at.tls({ rejectUnauthorized: false }) })
    loose.link.write([bytesOf('x')])
    await at.until(() => loose.sink.bytes === 1)
    const strict = at.to({ ...target, tls: at.tls() })
    await at.until(() => strict.sink.has('closed'))
    same(strict.sink.facts, ['connected', 'failed tls', 'closed'])
  },
}

const START_TLS: Readonly<Record<string, Body>> = {
  'TLS over a connected link, after what was written before it': async (at) => {
    const { sink, link } = await at.dial(ECHO, undefined, { identity: 'good', later: true })
    link.startTls(at.tls({}, ['http/1.1']))
    link.write([bytesOf('secret')])
    await at.until(() => sink.bytes === 6)
    same([sink.facts.slice(0, 2), textOf(sink.content)], [['connected', 'secured'], 'secret'])
    link.close()
    await at.until(() => sink.has('closed'))
  },
  'TLS over a link whose peer has ended fails with side tls, then closes': async (at) => {
    const { sink, link } = await at.dial({ open: (peer) => peer.end() })
    await at.until(() => sink.has('eof'))
    link.startTls(at.tls())
    await at.until(() => sink.has('closed'))
    same([sink.facts, code(sink)], [['connected', 'eof', 'failed tls', 'closed'], 'ECONNRESET'])
  },
}

/** The checks for a network that is able to do so much. Each is independent of the others and can be run at any time. */
export function conformance(can: NetworkCapabilities): readonly Check[] {
  const bodies = {
    ...ALL,
    ...(can.halfClose ? HALF_CLOSE : {}),
    ...(can.alpn && can.sni ? TLS : {}),
    ...(can.startTls ? START_TLS : {}),
  }
  return Object.entries(bodies).map(([name, body]) => ({
    name,
    async run(subject) {
      const trial = new Trial(subject)
      await body(trial)
      await trial.over()
    },
  }))
}
