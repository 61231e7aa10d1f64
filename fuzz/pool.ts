// Any order of anything that an interface or a network may tell a pool, any bytes among it. Each pair of octets is one
// input: what, and to whom; the bytes a link receives are the input's own. The first octet chooses the settings.
import { PoolMachine, type PoolCommand, type PoolInput, type PoolSettings, type Timeouts } from '../src/pool/index.ts'
import { Fields } from '../src/http/index.ts'
import { latin1 } from './lib/machine.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
export const seeds: readonly Uint8Array[] = [
  // request, connected, drained, received
  `\x00\x00\x00\x02\x00\x05\x00\x04${String.fromCharCode(OK.length)}${OK}`,
  `\x01\x00\x01\x00\x02\x02\x00\x04\x09\x00\x00\x00\x04\x00\x00\x00\x00\x00`,
  `\x02\x00\x00\x01\x00\x02\x00\x02\x01\x0a\x00\x0b\x00\x06\x00\x07\x01`,
  `\x03\x00\x02\x00\x00\x0e\x08\x02\x00\x08\x00\x0c\x00\x0d\x00`,
].map(latin1)

const TIMEOUTS: Timeouts = { pool: 300, connect: 100, write: 200, read: 250, total: Infinity }
const SETTINGS: PoolSettings = {
  maxConnections: 3,
  maxConnectionsPerOrigin: 2,
  maxIdleConnections: 2,
  maxQueuedRequests: 4,
  keepAliveExpiry: undefined,
  maxConnectionAge: undefined,
  maxRequestsPerConnection: 3,
  http1: true,
  http2: false,
  retries: 1,
  proxies: [],
  tls: undefined,
  localAddress: undefined,
  unixSocket: undefined,
  socketOptions: undefined,
  limits: { maxHeadBytes: 512 },
  http2Options: undefined,
}
const PROXY = { host: '10.9.9.9', port: 1, tls: undefined, tunnel: 'always' } as const
const VARIANTS: readonly Partial<PoolSettings>[] = [
  {},
  { http1: false, http2: true },
  { proxies: [{ kind: 'http', ...PROXY, headers: Fields.empty }] },
  { proxies: [{ kind: 'socks5h', ...PROXY, credentials: undefined }] },
]
const METHODS = ['GET', 'POST', 'HEAD', 'CONNECT'] as const

interface Request {
  settled: number
  heard: 'nothing' | 'head' | 'end'
}

interface KnownLink {
  readonly id: number
  state: 'open' | 'closing' | 'destroyed'
  undrained: number
}

export function fuzz(input: Uint8Array): void {
  new Run(VARIANTS[(input[0] ?? 0) % VARIANTS.length] as Partial<PoolSettings>).play(input)
}

class Run {
  readonly #pool: PoolMachine
  readonly #settings: PoolSettings
  readonly #requests: Request[] = []
  /** What the network still knows of. */
  readonly #links: KnownLink[] = []
  #now = 0

  constructor(settings: Partial<PoolSettings>) {
    this.#settings = { ...SETTINGS, ...settings }
    this.#pool = new PoolMachine(this.#settings, { now: 0, seed: 1 })
  }

  play(input: Uint8Array): void {
    for (let i = 1; i + 1 < input.length; i += 2) {
      const who = input[i + 1] as number
      if ((input[i] as number) % 15 !== 4) this.#step((input[i] as number) % 15, who)
      else {
        const length = input[i + 2] ?? 0
        const link = this.#links[who % Math.max(1, this.#links.length)]
        // Copied: what is lent is somebody else's afterwards.
        if (link !== undefined)
          this.#tell({ type: 'received', link: link.id, data: input.slice(i + 3, i + 3 + length) })
        i += 1 + length
      }
      const { connections } = this.#pool.stats() as { connections: number }
      if (connections > this.#settings.maxConnections) throw new Error('P1: more connections than there may be')
    }
    this.#tell({ type: 'destroy' })
    for (const [id, { settled }] of this.#requests.entries()) {
      if (settled !== 1) throw new Error(`P5: request ${id} settled ${settled} times`)
    }
    if (this.#pool.nextTimeout() !== undefined) throw new Error('a deadline is left')
  }

  #step(what: number, who: number): void {
    const link = this.#links[who % Math.max(1, this.#links.length)]
    const id = who % Math.max(1, this.#requests.length)
    switch (what) {
      case 0:
      case 1:
        return this.#request(who)
      case 14:
        return this.#tell({ type: 'drain', id, limit: who })
      case 6:
        return this.#tell({ type: 'cancel', id, reason: 'fuzz' })
      case 7: {
        const at = this.#pool.nextTimeout()
        if (at === undefined) return
        this.#now = Math.max(this.#now, at)
        this.#tell({ type: 'timeout' })
        if (this.#pool.nextTimeout() === at) throw new Error('P9: a deadline that was due is due again')
        return
      }
      case 8:
        return this.#tell({ type: 'consumed', id, bytes: who })
      case 9:
        return this.#tell({ type: 'content', id, data: new Uint8Array(who % 4) })
      case 10:
        return this.#tell({ type: 'contentEnd', id })
      case 11:
        return this.#tell({ type: 'contentFailed', id, error: new Error('fuzz') })
      case 12:
        return this.#tell(who % 8 === 0 ? { type: 'close', grace: 100 } : { type: 'closeIdle' })
      default:
        if (link !== undefined) this.#network(what, who, link)
    }
  }
  #network(what: number, who: number, link: KnownLink): void {
    switch (what) {
      case 2:
        return this.#tell({ type: 'connected', link: link.id, info: {} })
      case 3:
        return this.#tell({ type: 'eof', link: link.id })
      case 5: {
        const bytes = link.undrained
        link.undrained = 0
        return this.#tell({ type: 'drained', link: link.id, bytes })
      }
      default: {
        const side = (['connect', 'tls', 'read', 'write'] as const)[who % 4] ?? 'read'
        this.#tell({ type: 'failed', link: link.id, error: new Error('fuzz'), side })
        if (side === 'write') return
        this.#links.splice(this.#links.indexOf(link), 1)
        this.#tell({ type: 'closed', link: link.id })
      }
    }
  }
  #request(who: number): void {
    const host = `10.0.0.${who % 3}`
    const method = METHODS[(who >> 2) % METHODS.length] as string
    const target = method === 'CONNECT' ? `${host}:80` : '/'
    const headers = who > 200 ? [['Upgrade', 'x'] as const, ['Connection', 'upgrade'] as const] : []
    const content = method === 'POST' ? 'unknown' : 'none'
    this.#requests.push({ settled: 0, heard: 'nothing' })
    this.#tell({
      type: 'request',
      id: this.#requests.length - 1,
      origin: { scheme: 'http', host, port: 80 },
      head: { method, scheme: 'http', authority: method === 'CONNECT' ? target : host, target, headers, content },
      content,
      replayable: who % 2 === 0,
      timeouts: TIMEOUTS,
      expectContinue: who % 16 === 5,
      trace: who % 8 === 1,
    })
  }

  #tell(input: PoolInput): void {
    this.#pool.handle(input, this.#now)
    for (let command = this.#pool.poll(); command !== undefined; command = this.#pool.poll()) this.#perform(command)
  }
  #perform(command: PoolCommand): void {
    switch (command.type) {
      case 'connect':
        this.#links.push({ id: command.link, state: 'open', undrained: 0 })
        return
      case 'write': {
        const link = this.#links.find(({ id }) => id === command.link)
        if (link?.state !== 'open') throw new Error('something was written to a link that was given up')
        for (const chunk of command.chunks) link.undrained += chunk.byteLength
        return
      }
      case 'close':
      case 'destroy': {
        const link = this.#links.find(({ id }) => id === command.link)
        if (link?.state === 'destroyed') throw new Error('a link was destroyed twice')
        if (link !== undefined) link.state = command.type === 'close' ? 'closing' : 'destroyed'
        return
      }
      case 'settle':
        this.#of(command.id).settled++
        return
      case 'deliver':
        return this.#hear(this.#of(command.id), command.event.type)
      default:
        return
    }
  }
  /** informational*, then response, data*, end; after a switch data*, end. */
  #hear(request: Request, type: string): void {
    if (request.settled > 0) throw new Error('something was delivered after the end')
    const { heard } = request
    const fits =
      type === 'informational' || type === 'response' ? heard === 'nothing' : heard === 'head' && type !== 'secured'
    if (!fits) throw new Error(`'${type}' was delivered after ${heard}`)
    if (type === 'response') request.heard = 'head'
    if (type === 'end') request.heard = 'end'
  }
  #of(id: number): Request {
    const request = this.#requests[id]
    if (request === undefined) throw new Error(`there is no request ${id}`)
    return request
  }
}
