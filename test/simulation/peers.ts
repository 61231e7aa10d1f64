// Servers and proxies for the network in memory, made of our own machines. What a server does with a request is said
// beforehand, by target; everything else it does as an honest server would.
//
// A proxy answers its handshake, and goes on as the origin on the same link: bytes are the same, whoever passes them on.
import { H11Connection } from '../../src/h11/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import { pump, type Connection, type Link, type Sink } from '../../src/index.ts'
import type { SimNetwork } from '../../src/sim.ts'

export type Version = 'h1' | 'h2'
export interface Behaviour {
  /** Bytes of content. Default: as long as the target, which they repeat. */
  readonly size?: number
  /** Milliseconds before the head, and between pieces. Default 0. */
  readonly wait?: number
  readonly gap?: number
  /** Content leaves in so many pieces, its length unsaid where there are several. Default 1. */
  readonly pieces?: number
  /** Answers when the head has come, not when the request has. */
  readonly early?: boolean
  readonly informational?: boolean
  readonly trailers?: boolean
  readonly headers?: readonly (readonly [string, string])[]
  /** 101 (Switching Protocols), and from then on what comes is sent back. */
  readonly echo?: boolean
  /** Instead of an answer, or where a half of the content was sent. */
  readonly instead?: 'silence' | 'reset' | 'refuse'
  readonly midway?: 'reset' | 'cancel'
  /** After the answer: the server says that it goes away, at once, or as RFC 9113 §6.8 wants it in two steps. */
  readonly after?: 'goaway'
}
export interface Served {
  readonly target: string
  readonly method: string
  /** Bytes of content that came. */
  received: number
  whole: boolean
  /** REFUSED_STREAM says that it was not processed. RFC 9113 §8.7 */
  refused: boolean
}
export interface Peers {
  readonly behaviours: Map<string, Behaviour>
  /** Every request of which a head came, in order. */
  readonly served: Served[]
}
export const peers = (): Peers => ({ behaviours: new Map(), served: [] })

/** The content that belongs to a target, and to no other. */
export function contentOf(target: string, size = target.length): string {
  return `${target};`.repeat(Math.ceil(size / (target.length + 1))).slice(0, size)
}

/** Of both versions where TLS says which; else of the version named. */
export function server(sim: SimNetwork, version: Version, known: Peers): (link: Link) => Sink {
  return (link) => serve(sim, version, known, link)
}
export function secureServer(sim: SimNetwork, known: Peers): (link: Link) => Sink {
  return (link) => {
    let inner: Sink | undefined
    return deferred(
      () => inner,
      (alpn) => {
        inner = serve(sim, alpn === 'h2' ? 'h2' : 'h1', known, link)
        inner.connected({})
      },
    )
  }
}

function serve(sim: SimNetwork, version: Version, known: Peers, link: Link): Sink {
  const now = (): number => sim.now()
  const machine: Connection =
    version === 'h1'
      ? (new H11Connection('server', { now: now() }) as Connection)
      : new H2Connection('server', { now: now() })
  const all = new Map<number, Served>()
  /** Exchanges that have not got their whole answer. */
  const running = new Set<number>()
  /** What to do when there is room again. */
  const blocked = new Map<number, () => void>()
  let switched = false
  const sink = pump(machine, now, (event) => {
    switch (event.type) {
      case 'request': {
        const { target, method, exchange, headers } = event
        const served: Served = { target, method, received: 0, whole: false, refused: false }
        known.served.push(served)
        all.set(exchange, served)
        running.add(exchange)
        if (headers.get('expect') !== undefined) machine.sendInformational(exchange, 100)
        if (known.behaviours.get(target)?.early === true) answer(exchange)
        return
      }
      case 'data': {
        machine.consume(event.exchange, event.data.byteLength)
        ;(all.get(event.exchange) as Served).received += event.data.byteLength
        return
      }
      case 'end': {
        const served = all.get(event.exchange) as Served
        served.whole = true
        if (machine.closed) return
        if (!running.has(event.exchange)) machine.nextExchange()
        else if (known.behaviours.get(served.target)?.early !== true) answer(event.exchange)
        return
      }
      case 'writable': {
        const next = blocked.get(event.exchange)
        blocked.delete(event.exchange)
        if (running.has(event.exchange)) next?.()
        return
      }
      case 'switched':
        echo(event.leading)
        return
      case 'failed':
        running.delete(event.exchange)
        return
      case 'error':
      case 'closed':
        running.clear()
        return
      default:
        return
    }
  })
  sink.attach(link)

  /** Later, unless the exchange is over by then. */
  const later = (delay: number, exchange: number, act: () => void): void => {
    if (delay === 0) return act()
    sim.timer(
      sim.now() + delay,
      () => {
        if (!running.has(exchange)) return
        act()
        sink.flush()
      },
      true,
    )
  }
  function answer(exchange: number): void {
    const { target, method } = all.get(exchange) as Served
    const behaviour = known.behaviours.get(target) ?? {}
    const { instead } = behaviour
    if (instead === 'silence') return
    later(behaviour.wait ?? 0, exchange, () => {
      if (instead !== undefined) return giveUp(exchange, instead)
      if (behaviour.echo === true) {
        machine.sendResponse(exchange, { status: 101, headers: UPGRADE })
        return
      }
      if (behaviour.informational === true) machine.sendInformational(exchange, 103)
      const { pieces = 1, trailers = false } = behaviour
      const content = new TextEncoder().encode(contentOf(target, behaviour.size))
      machine.sendResponse(exchange, {
        status: 200,
        headers: behaviour.headers ?? [],
        content: pieces > 1 || trailers ? 'unknown' : { length: content.length },
      })
      if (method === 'HEAD') finish(exchange, { ...behaviour, trailers: false })
      else piece(exchange, content, 0, behaviour)
    })
  }
  function piece(exchange: number, content: Uint8Array, at: number, behaviour: Behaviour): void {
    const { pieces = 1, gap = 0, midway } = behaviour
    if (midway !== undefined && at * 2 >= content.length) return giveUp(exchange, midway)
    const end = at + Math.ceil(content.length / pieces)
    const room = machine.sendData(exchange, content.subarray(at, end))
    const next = (): void => {
      if (end < content.length) later(gap, exchange, () => piece(exchange, content, end, behaviour))
      else finish(exchange, behaviour)
    }
    if (room) next()
    else blocked.set(exchange, next)
  }
  function finish(exchange: number, behaviour: Behaviour): void {
    machine.end(exchange, behaviour.trailers === true ? [['checksum', '1']] : undefined)
    const { whole } = all.get(exchange) as Served
    running.delete(exchange)
    if (behaviour.after === 'goaway') machine.close(sim.now())
    if (whole) machine.nextExchange()
  }
  function giveUp(exchange: number, how: 'reset' | 'cancel' | 'refuse'): void {
    if (how === 'reset' || !(machine instanceof H2Connection)) {
      running.clear()
      machine.abort()
      sim.reset(link)
      return
    }
    running.delete(exchange)
    if (how === 'refuse') (all.get(exchange) as Served).refused = true
    machine.cancel(exchange, how === 'refuse' ? 0x7 : 0x2)
  }
  function echo(data: Uint8Array): boolean {
    switched = true
    // Copied: what is lent is written later.
    link.write([data.slice()])
    return false
  }
  return {
    ...sink,
    received: (data) => (switched ? echo(data) : sink.received(data)),
    eof: (clean) => (switched ? link.close() : sink.eof(clean)),
  }
}
const UPGRADE = [
  ['Connection', 'upgrade'],
  ['Upgrade', 'echo'],
] as const

/** An HTTP proxy that lets everybody through, to where `origin` says. */
export function connectProxy(origin: (link: Link) => Sink): (link: Link) => Sink {
  return (link) => {
    let inner: Sink | undefined
    let head = ''
    return deferred(
      () => inner,
      () => undefined,
      (data) => {
        head += new TextDecoder('latin1').decode(data)
        if (!head.endsWith('\r\n\r\n')) return
        link.write([new TextEncoder().encode('HTTP/1.1 200 OK\r\n\r\n')])
        inner = origin(link)
        inner.connected({})
      },
    )
  }
}
/** RFC 1928, for anybody. */
export function socksProxy(origin: (link: Link) => Sink): (link: Link) => Sink {
  return (link) => {
    let inner: Sink | undefined
    let bytes: number[] = []
    let greeted = false
    return deferred(
      () => inner,
      () => undefined,
      (data) => {
        bytes.push(...data)
        if (!greeted && bytes.length >= 2 + (bytes[1] ?? 0)) {
          bytes = bytes.slice(2 + (bytes[1] as number))
          greeted = true
          link.write([Uint8Array.of(5, 0)])
        }
        if (!greeted || bytes.length < 5 || bytes.length < 7 + (bytes[4] as number)) return
        link.write([Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0)])
        inner = origin(link)
        inner.connected({})
      },
    )
  }
}

/** A sink that becomes another one: until then its bytes go to `first`, and ends close the link. */
function deferred(
  inner: () => Sink | undefined,
  secured: (alpn: string | undefined) => void,
  first: (data: Uint8Array) => void = () => undefined,
): Sink {
  return {
    connected: () => undefined,
    secured: (info) => {
      const sink = inner()
      if (sink === undefined) secured(info.alpn)
      else sink.secured(info)
    },
    received: (data) => {
      const sink = inner()
      if (sink !== undefined) return sink.received(data)
      first(data)
      return false
    },
    drained: (bytes) => inner()?.drained(bytes),
    eof: (clean) => inner()?.eof(clean),
    failed: (error, side) => inner()?.failed(error, side),
    closed: () => inner()?.closed(),
  }
}
