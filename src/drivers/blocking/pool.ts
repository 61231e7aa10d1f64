// The blocking interface: a request in, a response out, over one pool machine on this thread and sockets in a worker.
//
// Everything that is decided is decided in the machine. Here a call becomes an input, and then waits in the thread's loop
// until the machine's commands have made true what it waits for.
import { H2Connection } from '../../h2/index.ts'
import type { Millis, Origin, RequestHead } from '../../http/index.ts'
import { checkAddresses, closing, hooksOf, makeMachine, report } from '../shared/client.ts'
import { NO_WAITING, refuseWaiting } from '../shared/content.ts'
import { Driver } from '../shared/driver.ts'
import {
  checkType,
  prepareHead,
  prepareRequest,
  type CommonRequestOptions,
  type PreparedRequest,
} from '../shared/options.ts'
import {
  preparePool,
  type CommonPoolOptions,
  type PreparedPool,
  type ProxyOptions as CommonProxyOptions,
} from '../shared/pool-options.ts'
import { isTraced } from '../shared/trace.ts'
import { checkData, type Data } from './data.ts'
import { BlockingExchange } from './exchange.ts'
import { threadLoop, type Loop } from './loop.ts'
import { Response } from './response.ts'

/** Content, whole or to be iterated. */
export type ContentSource = string | Uint8Array | Iterable<Uint8Array>
/**
 * As of the async interface, but for content that has to be awaited. A signal is heard when a callback aborts it: timers
 * do not run while a thread is blocked, so use `timeout` where you would use `AbortSignal.timeout`.
 */
export type RequestOptions = CommonRequestOptions<ContentSource>

/** The platform's own TLS options, but functions and handles: they are used on another thread. */
export type TlsOptions = { readonly [name: string]: Data }

export interface ProxyOptions extends Omit<CommonProxyOptions, 'tls'> {
  /** For the hop to the proxy. */
  readonly tls?: TlsOptions | undefined
}

export interface PoolOptions extends Omit<CommonPoolOptions, 'tls' | 'proxy'> {
  /** A list is a chain: the first is dialled. */
  readonly proxy?: string | URL | ProxyOptions | readonly ProxyOptions[] | undefined
  /** Passed through. Verification is on unless `rejectUnauthorized: false`. */
  readonly tls?: TlsOptions | undefined
  /** Addresses for a host, in the order in which they are to be tried. Default: the system's. */
  readonly resolve?: ((host: string) => readonly string[]) | undefined
}

/** Connections, shared by the requests of a program. Limits, timeouts and reuse are the options'. */
export class ConnectionPool implements Disposable {
  readonly #prepared: PreparedPool
  readonly #loop: Loop
  readonly #driver: Driver
  #closed = false

  constructor(options: PoolOptions = {}) {
    const { resolve, ...common } = options
    checkType('resolve', resolve, 'function')
    checkTls(common)
    const prepared = preparePool(common)
    const loop = threadLoop()
    const { network } = loop
    this.#prepared = prepared
    this.#loop = loop
    this.#driver = new Driver(
      makeMachine(prepared.settings, network, () => H2Connection),
      network,
      {
        defer: (flush) => flush(),
        resolve: (host, done) => {
          if (resolve === undefined) network.resolve(host, done)
          else loop.later(() => answer(resolve, host, done))
        },
        trace: (event, exchange) =>
          loop.later(() => {
            loop.trace(() => report(event, exchange, prepared))
            exchange?.heedSignal()
          }),
        closed: () => {
          this.#closed = true
        },
      },
    )
  }

  /**
   * Sends a request and reads the whole response. Throws an HttpCoreError, or the signal's own reason; NetworkError
   * 'blocking-unavailable' where threads, shared memory or the right to sleep are missing.
   */
  request(method: string, url: string | URL, options?: RequestOptions): Response {
    return this.#send(prepareRequest(method, url, options, this.#prepared.timeouts), 'collect', options)
  }

  /** Returns with the head; the response must then be read, drained or closed, which `using` sees to. */
  stream(method: string, url: string | URL, options?: RequestOptions): Response {
    return this.#send(prepareRequest(method, url, options, this.#prepared.timeouts), 'queue', options)
  }

  /** As `stream`, with a head that is sent as it is: nothing is added but what frames it. */
  handleRequest(origin: Origin, head: RequestHead, options?: RequestOptions): Response {
    return this.#send(prepareHead(origin, head, options, this.#prepared.timeouts), 'queue', options)
  }

  #send(request: PreparedRequest, mode: 'collect' | 'queue', options: RequestOptions | undefined): Response {
    const hooks = hooksOf(options)
    if (!request.source.replayable) refuseWaiting(request.source.open?.() as object)
    this.#loop.enter()
    this.#loop.network.start()
    const exchange = new BlockingExchange(this.#loop, this.#driver, request, mode, hooks)
    exchange.begin(request, isTraced(hooks.trace, this.#prepared.trace))
    return new Response(exchange)
  }

  /** The connections there are, connecting and draining ones included. */
  get connections(): readonly { info(): string }[] {
    this.#loop.catchUp()
    return this.#driver.machine.connections()
  }
  /** Counters of now, per origin too. */
  get stats(): Readonly<Record<string, unknown>> {
    this.#loop.catchUp()
    return this.#driver.machine.stats()
  }

  /** Closes connections that carry nothing. */
  closeIdle(): void {
    this.#loop.enter()
    this.#driver.ask({ type: 'closeIdle' })
  }
  /**
   * No new requests; running ones finish within `grace` (30 s), then are destroyed. Whoever is here reads nothing
   * meanwhile: a large response that is not read, or a tunnel, is waited for in vain, so close it before.
   */
  close(options?: { readonly grace?: Millis | undefined }): void {
    this.#close(closing(options))
  }
  /** Everything ends now; requests fail with PoolClosed, whose `cause` is `reason`. */
  destroy(reason?: unknown): void {
    this.#close({ type: 'destroy', reason })
  }
  [Symbol.dispose](): void {
    this.close()
  }
  #close(input: { type: 'close'; grace: Millis } | { type: 'destroy'; reason: unknown }): void {
    this.#loop.enter()
    this.#driver.ask(input)
    this.#loop.until(() => this.#closed)
  }
}

function checkTls({ tls, proxy }: Pick<PoolOptions, 'tls' | 'proxy'>): void {
  checkData('tls', tls)
  for (const each of [proxy].flat()) checkData('proxy.tls', (each as ProxyOptions | undefined)?.tls)
}

function answer(
  hook: (host: string) => readonly string[],
  host: string,
  done: (error: unknown, addresses: readonly string[]) => void,
): void {
  let addresses: readonly string[]
  try {
    const given: unknown = hook(host)
    if (given instanceof Promise) throw new TypeError(`resolve must not return a promise: ${NO_WAITING}`)
    addresses = checkAddresses(given)
  } catch (error) {
    return done(error, [])
  }
  done(undefined, addresses)
}

let shared: ConnectionPool | undefined

/** `ConnectionPool#request` on one pool with default options that the whole thread shares. */
export function request(method: string, url: string | URL, options?: RequestOptions): Response {
  return (shared ??= new ConnectionPool()).request(method, url, options)
}
/** `ConnectionPool#stream` on one pool with default options that the whole thread shares. */
export function stream(method: string, url: string | URL, options?: RequestOptions): Response {
  return (shared ??= new ConnectionPool()).stream(method, url, options)
}
