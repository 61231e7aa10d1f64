// One connection, held by hand: a pool that dials once. What would wait for a seat, or for another connection, is
// ConnectionNotAvailable at once; so whoever owns several of them decides which one takes a request.
//
// It knows no protocol: what the bytes travel over is the option `link`, or the network's own dial.
import { ConnectError, ConnectionNotAvailable, formatOrigin, type ErrorDetails } from '../../http/index.ts'
import { nodeNetwork } from '../networks/node.ts'
import type { Network } from '../network.ts'
import { originOf } from '../shared/options.ts'
import { ConnectionPool, type PoolOptions, type RequestOptions } from './pool.ts'
import type { Response } from './response.ts'

type Shared = 'maxConnections' | 'maxConnectionsPerOrigin' | 'maxIdleConnections' | 'maxQueuedRequests'
export interface SingleConnectionOptions extends Omit<PoolOptions, Shared> {
  /** What carries the bytes, as `Network.connect` does it; names are then not resolved. Default: the network dials. */
  readonly link?: Network['connect'] | undefined
}

/** One connection to one origin, dialled for the first request and, once it is made, never again. */
export class SingleConnection implements AsyncDisposable {
  readonly #pool: ConnectionPool
  #origin: string | undefined

  constructor(options: SingleConnectionOptions = {}) {
    const { link, networkBackend = nodeNetwork(), ...others } = options
    this.#pool = new ConnectionPool({
      ...(link === undefined ? {} : { resolve: (host: string) => [host] }),
      ...others,
      networkBackend: once(networkBackend, link ?? networkBackend.connect.bind(networkBackend), () => {
        const info = this.info()
        return info !== undefined && !info.endsWith('CONNECTING')
      }),
      maxConnections: 1,
      maxQueuedRequests: 0,
      // There is no other connection on which a request could be sent again.
      limits: { ...others.limits, maxReplays: 0, maxStaleRetries: 0 },
    })
  }

  /** As `ConnectionPool#request`. Rejects with ConnectionNotAvailable while it is taken or when it is gone, and for any other origin. */
  async request(method: string, url: string | URL, options?: RequestOptions): Promise<Response> {
    this.#check(url)
    return this.#pool.request(method, url, options).catch(usedUp)
  }
  /** As `ConnectionPool#stream`. Rejects as `request` does. */
  async stream(method: string, url: string | URL, options?: RequestOptions): Promise<Response> {
    this.#check(url)
    return this.#pool.stream(method, url, options).catch(usedUp)
  }
  /** The pool would close the connection to make room for one to elsewhere, which is then refused. */
  #check(url: string | URL): void {
    const origin = formatOrigin(originOf(url))
    this.#origin ??= origin
    if (origin === this.#origin) return
    throw new ConnectionNotAvailable(`the connection is to ${this.#origin}, not to ${origin}`, {
      code: 'other-origin',
      origin,
    })
  }

  /** As httpcore prints it; undefined: there is none yet, or no longer. */
  info(): string | undefined {
    return this.#pool.connections[0]?.info()
  }
  /** What runs finishes within `grace` (30 s). */
  close(options?: { readonly grace?: number | undefined }): Promise<void> {
    return this.#pool.close(options)
  }
  destroy(reason?: unknown): Promise<void> {
    return this.#pool.destroy(reason)
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Nothing was dialled where the second dial was refused. */
function usedUp(error: unknown): never {
  if (!(error instanceof ConnectError && error.cause instanceof ConnectionNotAvailable)) throw error
  const { message, code } = error.cause
  const facts: ErrorDetails = error
  throw new ConnectionNotAvailable(message, { ...facts, code, phase: 'pool', attempts: [] })
}

/** The network, until the connection is made: from then on another link is refused. Till then `retries` may need one. */
function once(network: Network, connect: Network['connect'], isMade: () => boolean): Network {
  let used = false
  const look = <T>(answer: T): T => {
    used ||= isMade()
    return answer
  }
  return {
    can: network.can,
    once: true,
    now: () => network.now(),
    timer: (at, fire, keepAlive) => network.timer(at, fire, keepAlive),
    resolve: (host, done) => network.resolve(host, done),
    ...(network.caughtUp && { caughtUp: network.caughtUp.bind(network) }),
    connect: (target, sink) => {
      if (used) throw new ConnectionNotAvailable('the connection has been used up', { code: 'connection-used' })
      return connect(target, {
        connected: (info) => look(sink.connected(info)),
        secured: (info) => look(sink.secured(info)),
        received: (data, turn) => look(sink.received(data, turn)),
        drained: (bytes, atOnce) => sink.drained(bytes, atOnce),
        eof: (clean) => sink.eof(clean),
        failed: (error, side) => sink.failed(error, side),
        closed: () => sink.closed(),
      })
    },
  }
}
