// Node's own servers on free loopback ports, each closed with what still hangs on it when its test is over.
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import { afterEach } from 'vitest'
import { ConnectionPool, type PoolOptions } from '../../src/index.ts'
import { serve, tcpServer } from '../fixtures/servers.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export function makePool(options?: PoolOptions): ConnectionPool {
  const pool = new ConnectionPool(options)
  cleanups.push(() => pool.destroy())
  return pool
}

/** The server's origin; `connections()` counts what was accepted. */
export async function serveHttp(
  listener: RequestListener,
  tls?: { key: string; cert: string },
): Promise<{ url: string; server: Server; connections: () => number }> {
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener)
  let count = 0
  server.on(tls === undefined ? 'connection' : 'secureConnection', () => count++)
  const { port, stop } = await serve(server)
  cleanups.push(stop)
  return { url: `${tls === undefined ? 'http' : 'https'}://localhost:${port}`, server, connections: () => count }
}

/** A peer that does as it is told: each connection goes to `play`. */
export async function serveTcp(play: (socket: Socket) => void): Promise<string> {
  const { port, stop } = await tcpServer(play)
  cleanups.push(stop)
  return `http://127.0.0.1:${port}`
}

/** Answers every request head on a connection with the same bytes. */
export function answering(...pieces: string[]): (socket: Socket) => void {
  return (socket) => {
    let head = ''
    socket.on('data', (data) => {
      head += data.toString('latin1')
      if (!head.includes('\r\n\r\n')) return
      head = ''
      for (const piece of pieces) socket.write(piece, 'latin1')
    })
  }
}
