// What every network must hold to, whatever carries its bytes. One suite; a network takes part by a Bench, which knows
// how to listen, how to play the peer, and how to let time pass until something is true.
import { describe, expect, test } from 'vitest'
import type { Bytes } from '../../src/http/index.ts'
import type { ConnectTarget, TlsTarget } from '../../src/pool/index.ts'
import type { Link, Network, Sink } from '../../src/drivers/network.ts'
import type { Certificates } from '../fixtures/certificates.ts'

/** The far end of a connection, as a test plays it. */
export interface Peer {
  write(bytes: Bytes): void
  end(): void
  reset(): void
  pause(): void
  resume(): void
}
export interface PeerScript {
  open?(peer: Peer): void
  data?(bytes: Bytes, peer: Peer): void
  end?(peer: Peer): void
}
export type Identity = 'good' | 'untrusted' | 'wrongName' | 'expired'
export interface PeerTls {
  readonly identity: Identity
  readonly alpn?: readonly string[]
}
export interface Bench {
  readonly name: string
  readonly network: Network
  /** TLS options that trust the good certificate. */
  readonly trust: unknown
  readonly certificates?: Certificates
  /** `later`: TLS follows over what is connected. */
  listen(script: PeerScript, tls?: PeerTls & { readonly later?: boolean }): Promise<ConnectTarget>
  /** Where nobody listens. */
  nobody(): Promise<ConnectTarget>
  /** Lets things happen until it is true; throws where that does not come. */
  until(what: () => boolean): Promise<void>
  /** Lets everything happen that will soon. */
  quiet(): Promise<void>
}

/** Notes every fact, and refuses what no network may do: speak from inside a call, or after closed. */
export class Recorder implements Sink {
  readonly facts: string[] = []
  readonly content: number[] = []
  bytes = 0
  drainedBytes = 0
  error: unknown
  alpn: string | undefined
  keep = false
  readonly kept: { data: Bytes; copy: Bytes }[] = []
  onReceived: (data: Bytes) => void = () => {}
  violations: string[] = []
  inCall = false

  #note(fact: string): void {
    if (this.inCall) this.violations.push(`${fact} from inside a call`)
    if (this.has('closed')) this.violations.push(`${fact} after closed`)
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
  secured(info: { alpn?: string | undefined }): void {
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

/** Dials, and wraps every verb so that a fact from inside it is seen. */
export function dial(network: Network, target: ConnectTarget): { sink: Recorder; link: Link } {
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
  const link: Link = {
    write: (chunks) => guarded(() => inner.write(chunks)),
    end: () => guarded(() => inner.end()),
    pause: () => guarded(() => inner.pause()),
    resume: () => guarded(() => inner.resume()),
    startTls: (tls) => guarded(() => inner.startTls(tls)),
    ref: () => guarded(() => inner.ref()),
    unref: () => guarded(() => inner.unref()),
    close: () => guarded(() => inner.close()),
    destroy: () => guarded(() => inner.destroy()),
  }
  return { sink, link }
}

const ECHO: PeerScript = { data: (bytes, peer) => peer.write(bytes.slice()), end: (peer) => peer.end() }
const text = (s: string): Bytes => new Uint8Array(Buffer.from(s, 'latin1'))
const shown = (sink: Recorder): string => String.fromCharCode(...sink.content)

export function conforms(open: () => Promise<Bench>): void {
  const clean = (sink: Recorder): void => expect(sink.violations).toEqual([])

  describe('connecting', () => {
    test('is answered by connected', async () => {
      const bench = await open()
      const { sink, link } = dial(bench.network, await bench.listen({}))
      await bench.until(() => sink.has('connected'))
      link.destroy()
      await bench.until(() => sink.has('closed'))
      expect(sink.facts).toEqual(['connected', 'closed'])
      clean(sink)
    })
    test('where nobody listens fails with side connect, then closes', async () => {
      const bench = await open()
      const { sink } = dial(bench.network, await bench.nobody())
      await bench.until(() => sink.has('closed'))
      expect(sink.facts).toEqual(['failed connect', 'closed'])
      expect(sink.error).toMatchObject({ code: 'ECONNREFUSED' })
      clean(sink)
    })
    test('and destroyed at once says only closed', async () => {
      const bench = await open()
      const { sink, link } = dial(bench.network, await bench.listen({}))
      link.destroy()
      await bench.until(() => sink.has('closed'))
      await bench.quiet()
      expect(sink.facts).toEqual(['closed'])
      clean(sink)
    })
  })

  describe('bytes', () => {
    test('come back in order, whatever the chunks', async () => {
      const bench = await open()
      const { sink, link } = dial(bench.network, await bench.listen(ECHO))
      link.write([text('one '), text(''), text('two ')])
      link.write([text('three')])
      await bench.until(() => sink.bytes === 13 && sink.drainedBytes === 13)
      expect(shown(sink)).toBe('one two three')
      link.destroy()
      await bench.until(() => sink.has('closed'))
      clean(sink)
    })
    test('of a large write are all drained, and not before the peer reads', async () => {
      const bench = await open()
      let far = 0
      let peer: Peer | undefined
      const target = await bench.listen({ open: (p) => (p.pause(), (peer = p)), data: (b) => (far += b.length) })
      const { sink, link } = dial(bench.network, target)
      const size = 16 * 1024 * 1024
      link.write([new Uint8Array(size)])
      await bench.until(() => peer !== undefined && sink.has('connected'))
      await bench.quiet()
      expect(sink.drainedBytes).toBeLessThan(size)
      peer?.resume()
      await bench.until(() => far === size && sink.drainedBytes === size)
      link.destroy()
      await bench.until(() => sink.has('closed'))
      clean(sink)
    })
    test('are held back while paused: at most what was already read comes', async () => {
      const bench = await open()
      const size = 8 * 1024 * 1024
      const { sink, link } = dial(bench.network, await bench.listen({ open: (p) => p.write(new Uint8Array(size)) }))
      sink.onReceived = () => link.pause()
      await bench.until(() => sink.bytes > 0)
      await bench.quiet()
      expect(sink.bytes).toBeLessThanOrEqual(128 * 1024)
      sink.onReceived = () => {}
      link.resume()
      await bench.until(() => sink.bytes === size)
      link.destroy()
      await bench.until(() => sink.has('closed'))
      clean(sink)
    })
    test.each([1, 100_000])('that were kept stay as they are (reads of about %i)', async (size) => {
      const bench = await open()
      const others = Array.from({ length: 3 }, () => bench.listen(ECHO))
      const links = await Promise.all(others.map(async (target) => dial(bench.network, await target)))
      const first = links[0]?.sink as Recorder
      first.keep = true
      for (let round = 1; round <= 20; round++) {
        for (const { link } of links) link.write([new Uint8Array(size).fill(round)])
        await bench.until(() => links.every(({ sink }) => sink.bytes === round * size))
      }
      for (const { data, copy } of first.kept) expect(Buffer.compare(data, copy)).toBe(0)
      for (const { link } of links) link.destroy()
      await bench.until(() => links.every(({ sink }) => sink.has('closed')))
      clean(first)
    })
  })

  describe('the end', () => {
    test('of our half reaches the peer after the bytes; its half goes on; both ended closes', async () => {
      const bench = await open()
      const seen: string[] = []
      const target = await bench.listen({
        data: (b) => seen.push(...Array.from(b, (c) => String.fromCharCode(c))),
        end: (peer) => (seen.push('end'), peer.write(text('late')), peer.end()),
      })
      const { sink, link } = dial(bench.network, target)
      link.write([text('ab')])
      link.end()
      await bench.until(() => sink.has('closed'))
      expect(seen).toEqual(['a', 'b', 'end'])
      expect(shown(sink)).toBe('late')
      expect(sink.facts.slice(-3)).toEqual(['received', 'eof', 'closed'])
      clean(sink)
    })
    test('of the peer comes after its bytes and leaves our half open', async () => {
      const bench = await open()
      let far = 0
      const target = await bench.listen({
        open: (p) => (p.write(text('bye')), p.end()),
        data: (b) => (far += b.length),
      })
      const { sink, link } = dial(bench.network, target)
      await bench.until(() => sink.has('eof'))
      expect(shown(sink)).toBe('bye')
      link.write([text('still')])
      await bench.until(() => far === 5)
      expect(sink.has('closed')).toBe(false)
      link.end()
      await bench.until(() => sink.has('closed'))
      expect(sink.facts.filter((f) => f.startsWith('failed'))).toEqual([])
      clean(sink)
    })
    test('by close comes after everything was written', async () => {
      const bench = await open()
      let far = 0
      let ended = false
      const { sink, link } = dial(
        bench.network,
        await bench.listen({ data: (b) => (far += b.length), end: (p) => ((ended = true), p.end()) }),
      )
      await bench.until(() => sink.has('connected'))
      link.write([new Uint8Array(3_000_000)])
      link.close()
      await bench.until(() => sink.has('closed') && ended)
      expect(far).toBe(3_000_000)
      expect(sink.drainedBytes).toBe(3_000_000)
      clean(sink)
    })
    test('by destroy says nothing but closed', async () => {
      const bench = await open()
      const { sink, link } = dial(
        bench.network,
        await bench.listen({ open: (p) => p.write(new Uint8Array(1_000_000)) }),
      )
      await bench.until(() => sink.bytes > 0)
      link.destroy()
      const before = sink.bytes
      await bench.until(() => sink.has('closed'))
      await bench.quiet()
      expect(sink.bytes).toBe(before)
      expect(sink.facts.at(-1)).toBe('closed')
      clean(sink)
    })
    test('by a reset fails once, then closes', async () => {
      const bench = await open()
      const { sink, link } = dial(bench.network, await bench.listen({ data: (_, p) => p.reset() }))
      link.write([text('x')])
      await bench.until(() => sink.has('closed'))
      expect(sink.facts.filter((f) => f.startsWith('failed'))).toHaveLength(1)
      expect(sink.error).toMatchObject({ code: 'ECONNRESET' })
      clean(sink)
    })
    test('of nothing: verbs after closed do nothing', async () => {
      const bench = await open()
      const { sink, link } = dial(bench.network, await bench.listen({}))
      link.destroy()
      await bench.until(() => sink.has('closed'))
      link.write([text('x')])
      link.end()
      link.pause()
      link.resume()
      link.ref()
      link.unref()
      link.close()
      link.destroy()
      await bench.quiet()
      expect(sink.facts).toEqual(['closed'])
    })
  })

  describe('TLS', () => {
    const tls = (bench: Bench, more: Partial<TlsTarget> = {}): TlsTarget => ({
      serverName: 'localhost',
      alpn: ['h2', 'http/1.1'],
      options: bench.trust,
      ...more,
    })
    test('follows connecting by itself, with the protocol that was chosen', async () => {
      const bench = await open()
      const target = await bench.listen(ECHO, { identity: 'good', alpn: ['h2'] })
      // Twice: the second may resume the session of the first.
      for (let i = 0; i < 2; i++) {
        const { sink, link } = dial(bench.network, { ...target, tls: tls(bench) })
        await bench.until(() => sink.has('secured'))
        expect(sink.alpn).toBe('h2')
        link.write([new Uint8Array(300_000)])
        await bench.until(() => sink.bytes === 300_000 && sink.drainedBytes === 300_000)
        link.end()
        await bench.until(() => sink.has('closed'))
        expect(sink.facts.slice(0, 2)).toEqual(['connected', 'secured'])
        expect(sink.has('eof')).toBe(true)
        clean(sink)
      }
    })
    test.each([
      ['untrusted', undefined],
      ['wrongName', null],
      ['expired', 0],
    ] as const)('refuses a certificate that is %s; rejectUnauthorized: %s is not false', async (identity, off) => {
      const bench = await open()
      const target = await bench.listen(ECHO, { identity })
      const options = { ...(bench.trust as object), rejectUnauthorized: off }
      const { sink } = dial(bench.network, { ...target, tls: tls(bench, { options }) })
      await bench.until(() => sink.has('closed'))
      expect(sink.facts).toEqual(['connected', 'failed tls', 'closed'])
      clean(sink)
    })
    test('takes it with rejectUnauthorized: false, and does not remember that for the next', async () => {
      const bench = await open()
      const target = await bench.listen(ECHO, { identity: 'untrusted' })
      const options = { ...(bench.trust as object), rejectUnauthorized: false }
      const loose = dial(bench.network, { ...target, tls: tls(bench, { options }) })
      loose.link.write([text('x')])
      await bench.until(() => loose.sink.bytes === 1)
      loose.link.destroy()
      const strict = dial(bench.network, { ...target, tls: tls(bench) })
      await bench.until(() => strict.sink.has('closed') && loose.sink.has('closed'))
      expect(strict.sink.facts).toEqual(['connected', 'failed tls', 'closed'])
    })
    test('over a connected link, after what was written before it', async () => {
      const bench = await open()
      const seen: Bytes[] = []
      const target = await bench.listen(
        { data: (b, p) => (seen.push(b.slice()), p.write(b.slice())) },
        { identity: 'good', later: true },
      )
      const { sink, link } = dial(bench.network, target)
      link.startTls(tls(bench, { alpn: ['http/1.1'] }))
      link.write([text('secret')])
      await bench.until(() => sink.bytes === 6)
      expect(sink.facts.slice(0, 2)).toEqual(['connected', 'secured'])
      expect(shown(sink)).toBe('secret')
      link.close()
      await bench.until(() => sink.has('closed'))
      clean(sink)
    })
  })

  describe('the clock', () => {
    test('fires each timer once, in order, never early', async () => {
      const bench = await open()
      const { network } = bench
      const fired: number[] = []
      const start = network.now()
      network.timer(start + 30, () => fired.push(network.now() - start), true)
      network.timer(start + 10, () => fired.push(network.now() - start), true)
      const off = network.timer(start + 20, () => fired.push(-1), true)
      off()
      await bench.until(() => fired.length === 2)
      expect(fired[0]).toBeGreaterThanOrEqual(9)
      expect(fired[1]).toBeGreaterThanOrEqual(29)
    })
    test('takes a wait that no timer of the platform does', async () => {
      const bench = await open()
      let fired = false
      const off = bench.network.timer(bench.network.now() + 2 ** 40, () => (fired = true), false)
      await bench.quiet()
      expect(fired).toBe(false)
      off()
    })
    test('resolves an address to itself', async () => {
      const bench = await open()
      let answer: readonly string[] | undefined
      let inside = true
      bench.network.resolve('127.0.0.1', (error, addresses) => {
        expect(inside).toBe(false)
        if (error === undefined) answer = addresses
      })
      inside = false
      await bench.until(() => answer !== undefined)
      expect(answer).toEqual(['127.0.0.1'])
    })
  })
}
