// The options of a pool, checked, copied and put into the machine's terms. What was given may be changed afterwards by
// the caller without any effect; the user's `tls` object is copied, never written to.
//
// A proxy is plain data here: its URL split, its credentials already in the form in which they are sent.
import {
  Fields,
  misuse,
  splitAuthority,
  splitHostPort,
  UnsupportedProtocol,
  type FieldsInit,
  type Limits,
  type Millis,
} from '../../http/index.ts'
import type { Http2Options, PoolSettings, ProxyTarget, Timeouts } from '../../pool/lean.ts'
import {
  checkBoolean,
  checkedFields,
  checkInteger,
  checkMillis,
  checkNames,
  checkType,
  prepareTimeouts,
  type TimeoutInit,
} from './options.ts'
import type { TraceCallback, Traced } from './trace.ts'

export interface ProxyOptions {
  /** http, https, socks5 or socks5h; userinfo in it is the proxy's. socks5 resolves here, socks5h at the proxy. */
  readonly url: string | URL
  readonly auth?: readonly [username: string, password: string] | undefined
  /** For the proxy only: they never reach an origin. */
  readonly headers?: FieldsInit | undefined
  /** For the hop to the proxy. */
  readonly tls?: unknown
  /** 'https' (default): `http` and `ws` are forwarded; 'always': they are tunnelled too. */
  readonly tunnel?: 'https' | 'always' | undefined
}

/** What every interface takes for a pool. Left out: the default in brackets. */
export interface CommonPoolOptions {
  /** Of all origins, connecting and draining ones included. [100] */
  readonly maxConnections?: number | undefined
  /** [maxConnections] */
  readonly maxConnectionsPerOrigin?: number | undefined
  /** [maxConnections] */
  readonly maxIdleConnections?: number | undefined
  /** [10,000] */
  readonly maxQueuedRequests?: number | undefined
  /** An upper bound for how long a connection stays idle; null: none. [4 s, or the server's hint − 2 s; 60 s in HTTP/2] */
  readonly keepAliveExpiry?: number | null | undefined
  /** [off] */
  readonly maxConnectionAge?: number | null | undefined
  /** [off] */
  readonly maxRequestsPerConnection?: number | null | undefined
  /** [true] */
  readonly http1?: boolean | undefined
  /** With `http1` ALPN decides; alone it is prior knowledge. Its code is loaded by the first request that may need it. [false] */
  readonly http2?: boolean | undefined
  /** Further attempts to connect, after 0, 0.5, 1, 2, 4 … s. [0] */
  readonly retries?: number | undefined
  /** A list is a chain: the first is dialled. */
  readonly proxy?: string | URL | ProxyOptions | readonly ProxyOptions[] | undefined
  /** The platform's own TLS options, passed through. Verification is on unless `rejectUnauthorized: false`. */
  readonly tls?: unknown
  readonly localAddress?: string | undefined
  /** Every connection goes to this path; an initial NUL: an abstract socket. */
  readonly unixSocket?: string | undefined
  readonly socketOptions?:
    | {
        readonly noDelay?: boolean | undefined
        /** Milliseconds of silence before the first probe. */
        readonly keepAlive?: boolean | number | undefined
      }
    | undefined
  readonly timeout?: TimeoutInit
  readonly limits?: Limits | undefined
  readonly http2Options?: Http2Options | undefined
  readonly trace?: TraceCallback | undefined
}

export interface PreparedPool extends Traced {
  readonly settings: PoolSettings
  readonly timeouts: Timeouts
}

let pools = 0

const MAX_CONNECTIONS = 65_535
const MAX_QUEUED = 1_000_000
const MAX_RETRIES = 100

export function preparePool(options: CommonPoolOptions): PreparedPool {
  checkNames('pool', options, OPTION_NAMES)
  const { trace } = options
  checkType('trace', trace, 'function')
  return { settings: settingsOf(options), timeouts: prepareTimeouts(options.timeout), trace, number: ++pools }
}

const OPTION_NAMES: ReadonlySet<string> = new Set<keyof CommonPoolOptions>([
  'maxConnections',
  'maxConnectionsPerOrigin',
  'maxIdleConnections',
  'maxQueuedRequests',
  'keepAliveExpiry',
  'maxConnectionAge',
  'maxRequestsPerConnection',
  'http1',
  'http2',
  'retries',
  'proxy',
  'tls',
  'localAddress',
  'unixSocket',
  'socketOptions',
  'timeout',
  'limits',
  'http2Options',
  'trace',
])
const HTTP2_NAMES: ReadonlySet<string> = new Set<keyof Http2Options>([
  'streamWindow',
  'connectionWindow',
  'keepAlivePing',
])
type Ping = NonNullable<Http2Options['keepAlivePing']>
const PING_NAMES: ReadonlySet<string> = new Set<keyof Ping>(['after', 'within', 'whileIdle'])

function settingsOf(options: CommonPoolOptions): PoolSettings {
  const integer = (name: keyof CommonPoolOptions, byDefault: number, min: number, max: number): number =>
    checkInteger(name, options[name], byDefault, min, max)
  const maxConnections = integer('maxConnections', 100, 1, MAX_CONNECTIONS)
  const { unixSocket, localAddress } = options
  checkType('unixSocket', unixSocket, 'string')
  checkType('localAddress', localAddress, 'string')
  return {
    maxConnections,
    maxConnectionsPerOrigin: integer('maxConnectionsPerOrigin', maxConnections, 1, MAX_CONNECTIONS),
    maxIdleConnections: integer('maxIdleConnections', maxConnections, 0, MAX_CONNECTIONS),
    maxQueuedRequests: integer('maxQueuedRequests', 10_000, 0, MAX_QUEUED),
    keepAliveExpiry: optionalMillis('keepAliveExpiry', options.keepAliveExpiry),
    maxConnectionAge: optionalMillis('maxConnectionAge', options.maxConnectionAge),
    maxRequestsPerConnection:
      options.maxRequestsPerConnection === null
        ? Infinity
        : integer('maxRequestsPerConnection', Infinity, 1, Number.MAX_SAFE_INTEGER),
    http1: checkBoolean('http1', options.http1, true),
    http2: checkBoolean('http2', options.http2, false),
    retries: integer('retries', 0, 0, MAX_RETRIES),
    proxies: proxiesOf(options.proxy),
    tls: copied(options.tls),
    localAddress,
    unixSocket,
    socketOptions: socketOptionsOf(options.socketOptions),
    limits: options.limits,
    http2Options: http2OptionsOf(options.http2Options),
  }
}

/** What a network of one's own takes beside them is its affair. */
function socketOptionsOf(options: CommonPoolOptions['socketOptions']): unknown {
  const { noDelay, keepAlive } = options ?? {}
  checkBoolean('socketOptions.noDelay', noDelay, true)
  if (typeof keepAlive !== 'boolean') optionalMillis('socketOptions.keepAlive', keepAlive)
  return copied(options)
}

/** The windows are limits, and checked as such. */
function http2OptionsOf(options: Http2Options | undefined): Http2Options | undefined {
  if (options === undefined) return undefined
  checkNames('http2Options', options, HTTP2_NAMES)
  const { keepAlivePing: ping } = options
  if (ping === undefined || ping === null) return { ...options }
  checkNames('keepAlivePing', ping, PING_NAMES)
  const after = checkMillis('keepAlivePing.after', ping.after)
  const within = checkMillis('keepAlivePing.within', ping.within)
  const whileIdle = checkBoolean('keepAlivePing.whileIdle', ping.whileIdle, false)
  return { ...options, keepAlivePing: { after, within, whileIdle } }
}

function optionalMillis(name: string, value: number | null | undefined): Millis | undefined {
  return value === undefined ? undefined : checkMillis(name, value)
}

/** One level deep, lists within it too: what the caller does to its object later is its own affair. */
function copied(options: unknown): unknown {
  if (options === undefined) return undefined
  if (typeof options !== 'object' || options === null) throw new TypeError('tls and socketOptions must be objects')
  return Object.freeze(
    Object.fromEntries(
      Object.entries(options).map(([name, value]) => [name, Array.isArray(value) ? ([...value] as unknown) : value]),
    ),
  )
}

// ── proxies ──

const PROXY_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['socks5', 1080],
  ['socks5h', 1080],
])

function proxiesOf(proxy: CommonPoolOptions['proxy']): readonly ProxyTarget[] {
  if (proxy === undefined) return []
  if (Array.isArray(proxy)) return (proxy as readonly ProxyOptions[]).map(proxyOf)
  return [isUrl(proxy) ? proxyOf({ url: proxy }) : proxyOf(proxy as ProxyOptions)]
}
function isUrl(value: unknown): value is string | URL {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && 'href' in value)
}

const PROXY_NAMES: ReadonlySet<string> = new Set<keyof ProxyOptions>(['url', 'auth', 'headers', 'tls', 'tunnel'])

function proxyOf(options: ProxyOptions): ProxyTarget {
  checkNames('proxy', options, PROXY_NAMES)
  checkProxy(options)
  const text = typeof options.url === 'string' ? options.url : options.url.href
  const { scheme, authority } = splitAuthority(text)
  const byDefault = PROXY_PORTS.get(scheme)
  if (byDefault === undefined) {
    throw new UnsupportedProtocol(`a proxy's scheme is http, https, socks5 or socks5h, not '${scheme}'`, {
      code: 'unsupported-scheme',
    })
  }
  const at = authority.lastIndexOf('@')
  const { host, port } = splitHostPort(authority.slice(at + 1), text)
  const auth = options.auth ?? (at < 0 ? undefined : userinfo(authority.slice(0, at)))
  const own = checkedFields(options.headers)
  const place = { host, port: port ?? byDefault, tls: copied(options.tls), tunnel: options.tunnel ?? 'https' } as const
  return scheme === 'socks5' || scheme === 'socks5h'
    ? { kind: scheme, ...place, credentials: auth === undefined ? undefined : socksCredentials(auth) }
    : {
        kind: scheme as 'http' | 'https',
        ...place,
        headers: auth === undefined ? own : authorized(own, auth),
      }
}

function checkProxy({ url, auth, tunnel }: ProxyOptions): void {
  if (!isUrl(url)) throw new TypeError('proxy.url must be a string or a URL')
  if (tunnel !== undefined && tunnel !== 'https' && tunnel !== 'always')
    throw new TypeError("proxy.tunnel must be 'https' or 'always'")
  // Of a string it would be the first two chars, of a shorter list the word 'undefined'.
  const pair: readonly unknown[] | undefined = auth
  if (pair === undefined) return
  if (!Array.isArray(pair) || pair.length !== 2 || pair.some((part) => typeof part !== 'string'))
    throw new TypeError('proxy.auth must be two strings: the user name and the password')
}

function userinfo(text: string): readonly [string, string] {
  const [user = '', ...password] = text.split(':')
  try {
    return [decodeURIComponent(user), decodeURIComponent(password.join(':'))]
  } catch {
    throw misuse('proxy-auth', 'RFC 3986 §3.2.1', "the userinfo of the proxy's URL is not percent-encoded UTF-8")
  }
}

const encoder = new TextEncoder()

/** RFC 7617 §2, with UTF-8. */
function authorized(headers: Fields, [user, password]: readonly [string, string]): Fields {
  if (headers.has('proxy-authorization'))
    throw misuse('proxy-auth', 'RFC 9110 §11.7.2', 'credentials and a Proxy-Authorization field exclude each other')
  const pair = `${user}:${password}`
  if (user.includes(':') || /[^ -~\x80-\uffff]/.test(pair))
    throw misuse('proxy-auth', 'RFC 7617 §2', 'Basic has no colon in a user name, and no control at all')
  const basic = `Basic ${btoa(String.fromCharCode(...encoder.encode(pair)))}`
  return Fields.from([['Proxy-Authorization', basic], ...headers.rawPairs()])
}

/** RFC 1929 §2: one to 255 octets each. */
function socksCredentials([user, password]: readonly [string, string]): { username: Uint8Array; password: Uint8Array } {
  const credentials = { username: encoder.encode(user), password: encoder.encode(password) }
  for (const { length } of Object.values(credentials)) {
    if (length < 1 || length > 255)
      throw misuse('proxy-auth', 'RFC 1929 §2', 'user name and password have 1 to 255 bytes')
  }
  return credentials
}
