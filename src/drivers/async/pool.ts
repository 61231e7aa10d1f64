// The async interface: requests in, promises out, over one pool machine and one network.
//
// Everything that is decided is decided in the machine. Here a call becomes an input, and a command the settling of a
// promise: one promise for each thing that settles, none inside.
import type { Millis, Origin, RequestHead } from '../../http/index.ts'
import { nodeNetwork } from '../networks/node.ts'
import type { Network } from '../network.ts'
import { checkAddresses, closing, hooksOf, makeMachine, report } from '../shared/client.ts'
import { Driver } from '../shared/driver.ts'
import type { ExchangeHooks } from '../shared/exchange.ts'
import {
  checkType,
  prepareHead,
  prepareRequest,
  type CommonRequestOptions,
  type PreparedRequest,
} from '../shared/options.ts'
import { preparePool, type CommonPoolOptions, type PreparedPool } from '../shared/pool-options.ts'
import { soon } from '../shared/soon.ts'
import { isTraced } from '../shared/trace.ts'
import { AsyncExchange } from './exchange.ts'
import { http2, loadHttp2 } from './http2.ts'
import type { Response } from './response.ts'

/** Content, whole or to be pulled. */
export type ContentSource =
  | string
  | Uint8Array
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>
export type RequestOptions = CommonRequestOptions<ContentSource>

export interface PoolOptions extends CommonPoolOptions {
  /** Addresses for a host, in the order in which they are to be tried. Default: the network's own. */
  readonly resolve?: ((host: string) => readonly string[] | Promise<readonly string[]>) | undefined
  /** What carries the bytes. Default: TCP, Unix sockets and TLS of Node. */
  readonly networkBackend?: Network | undefined
}

/** Connections, shared by the requests of a program. Limits, timeouts and reuse are the options'. */
export class ConnectionPool implements AsyncDisposable {
  readonly #prepared: PreparedPool
  readonly #driver: Driver
  #closing: Promise<void> | undefined
  #closed: (() => void) | undefined

  constructor(options: PoolOptions = {}) {
    const { resolve, networkBackend, ...common } = options
    checkType('resolve', resolve, 'function')
    const prepared = preparePool(common)
    this.#prepared = prepared
    const network = networkBackend ?? nodeNetwork()
    this.#driver = new Driver(makeMachine(prepared.settings, network, http2), network, {
      defer: soon,
      resolve: resolve === undefined ? (host, done) => network.resolve(host, done) : resolveWith(resolve),
      trace: (event, exchange) => report(event, exchange, prepared),
      closed: () => this.#closed?.(),
    })
  }

  /** Sends a request and reads the whole response. Rejects with an HttpCoreError, or with the signal's own reason. */
  request(method: string, url: string | URL, options?: RequestOptions): Promise<Response> {
    return this.#send('collect', options, method, url)
  }

  /** Resolves with the head; the response must then be read, drained or closed, which `await using` sees to. */
  stream(method: string, url: string | URL, options?: RequestOptions): Promise<Response> {
    return this.#send('queue', options, method, url)
  }

  /** As `stream`, with a head that is sent as it is: nothing is added but what frames it. */
  async handleRequest(origin: Origin, head: RequestHead, options?: RequestOptions): Promise<Response> {
    return this.#begin(prepareHead(origin, head, options, this.#prepared.timeouts), 'queue', options)
  }

  /** One promise for a request, whatever is wrong with it: those of async functions cost as much as the pool does. */
  #send(
    mode: 'collect' | 'queue',
    options: RequestOptions | undefined,
    method: string,
    url: string | URL,
  ): Promise<Response> {
    try {
      return this.#begin(prepareRequest(method, url, options, this.#prepared.timeouts), mode, options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }
  /** What the caller does to its options while HTTP/2 is loaded is not heard; its signal is. */
  #begin(request: PreparedRequest, mode: 'collect' | 'queue', options: RequestOptions | undefined): Promise<Response> {
    const hooks = hooksOf(options)
    const loading = this.#prepared.settings.http2 ? loadHttp2() : undefined
    if (loading === undefined) return this.#start(request, mode, hooks)
    return loading.then(() => this.#start(request, mode, hooks))
  }
  #start(request: PreparedRequest, mode: 'collect' | 'queue', hooks: ExchangeHooks): Promise<Response> {
    const exchange = new AsyncExchange(this.#driver, request, mode, hooks)
    return exchange.begin(request, isTraced(hooks.trace, this.#prepared.trace))
  }

  /** The connections there are, connecting and draining ones included. */
  get connections(): readonly { info(): string }[] {
    return this.#driver.machine.connections()
  }
  /** Counters of now, per origin too. */
  get stats(): Readonly<Record<string, unknown>> {
    return this.#driver.machine.stats()
  }

  /** Closes connections that carry nothing. */
  closeIdle(): void {
    this.#driver.ask({ type: 'closeIdle' })
  }
  /** No new requests; queued ones fail with PoolClosed, running ones finish within `grace` (30 s), then are destroyed. */
  async close(options?: { readonly grace?: Millis | undefined }): Promise<void> {
    await this.#close(closing(options))
  }
  /** Everything ends now; requests fail with PoolClosed, whose `cause` is `reason`. */
  destroy(reason?: unknown): Promise<void> {
    return this.#close({ type: 'destroy', reason })
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
  #close(input: { type: 'close'; grace: Millis } | { type: 'destroy'; reason: unknown }): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#closed = resolve
    })
    this.#driver.ask(input)
    return this.#closing
  }
}

function resolveWith(hook: NonNullable<PoolOptions['resolve']>): Network['resolve'] {
  return (host, done) => {
    // A hook may answer at once; the pool must not hear of it from inside its own command.
    Promise.resolve(host)
      .then(hook)
      .then(checkAddresses)
      .then(
        (addresses) => done(undefined, addresses),
        (error: unknown) => done(error, []),
      )
  }
}
let shared: ConnectionPool | undefined

/** `ConnectionPool#request` on one pool with default options that the whole program shares. */
export function request(method: string, url: string | URL, options?: RequestOptions): Promise<Response> {
  return (shared ??= new ConnectionPool()).request(method, url, options)
}
/** `ConnectionPool#stream` on one pool with default options that the whole program shares. */
export function stream(method: string, url: string | URL, options?: RequestOptions): Promise<Response> {
  return (shared ??= new ConnectionPool()).stream(method, url, options)
}
