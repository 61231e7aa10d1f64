// What a pool is made with, in the machine's own terms: checked and copied by whoever drives it, opaque where only the
// network can know.
import { misuse, type Fields, type Limits, type Millis } from '../http/index.ts'
import type { SocksCredentials } from './socks5.ts'

interface ProxyPlace {
  readonly host: string
  readonly port: number
  /** For the hop to the proxy itself. */
  readonly tls: unknown
  readonly tunnel: 'https' | 'always'
}
export interface HttpProxy extends ProxyPlace {
  readonly kind: 'http' | 'https'
  /** For the proxy only, Proxy-Authorization among them. */
  readonly headers: Fields
}
export interface SocksProxy extends ProxyPlace {
  /** socks5: names are resolved here; socks5h: at the proxy. */
  readonly kind: 'socks5' | 'socks5h'
  readonly credentials: SocksCredentials | undefined
}
/** A proxy as it is spoken to; credentials in the form in which they are sent. */
export type ProxyTarget = HttpProxy | SocksProxy
export function isHttpProxy(proxy: ProxyTarget): proxy is HttpProxy {
  return proxy.kind === 'http' || proxy.kind === 'https'
}

export interface Http2Options {
  readonly streamWindow?: number | undefined
  readonly connectionWindow?: number | undefined
  readonly keepAlivePing?:
    | { readonly after: Millis; readonly within: Millis; readonly whileIdle?: boolean | undefined }
    | null
    | undefined
}

export interface PoolSettings {
  readonly maxConnections: number
  readonly maxConnectionsPerOrigin: number
  readonly maxIdleConnections: number
  readonly maxQueuedRequests: number
  /** An upper bound; undefined: the defaults of the versions; Infinity: none. */
  readonly keepAliveExpiry: Millis | undefined
  readonly maxConnectionAge: Millis | undefined
  readonly maxRequestsPerConnection: number
  readonly http1: boolean
  readonly http2: boolean
  readonly retries: number
  /** In the order in which they are dialled through. */
  readonly proxies: readonly ProxyTarget[]
  readonly tls: unknown
  readonly localAddress: string | undefined
  readonly unixSocket: string | undefined
  readonly socketOptions: unknown
  readonly limits: Limits | undefined
  readonly http2Options: Http2Options | undefined
  /** The network can say when all that has come was told: before a request that cannot be sent again follows another. */
  readonly catchUp?: boolean | undefined
  /** What is idle is not closed to make room: nothing can be dialled in its place. */
  readonly once?: boolean | undefined
}

/** Throws where two settings exclude each other, or one leads nowhere. */
export function checkSettings(settings: PoolSettings): void {
  if (!settings.http1 && !settings.http2) {
    throw misuse('no-version', 'RFC 9110 §2.5', 'http1 and http2 are both off: there is nothing to speak')
  }
  if (settings.unixSocket !== undefined && settings.proxies.length > 0) {
    throw misuse('route', 'RFC 9110 §3.7', 'unixSocket and proxy exclude each other')
  }
  // Node takes it for none, and dials port 0 of this host.
  if (settings.unixSocket === '') throw misuse('route', 'RFC 9110 §3.7', 'unixSocket is empty')
}
