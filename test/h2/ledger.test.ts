// The ledger of an exchange counts its frames, whole: field blocks however many frames they take, content, padding,
// trailers; nothing of its siblings, and nothing that only manages the connection.
import { expect, it } from 'vitest'
import { H2Connection } from '../../src/h2/index.ts'
import { concat, drain, frame, headers, latin1, OK, parseFrames, POST_HEAD, settings, type Frame } from './support.ts'

const octetsOf = (frames: readonly Frame[], stream: number, ...types: readonly number[]): number =>
  frames
    .filter((one) => one.stream === stream && types.includes(one.type))
    .reduce((sum, { payload }) => sum + 9 + payload.length, 0)

it('counts what is sent and what comes, of each exchange its own', () => {
  const client = new H2Connection('client', { now: 0 })
  const ledgers = [0, 1].map(() => ({ bytesSent: 0, bytesReceived: 0 }))
  const long = [['x', 'y'.repeat(20_000)]] as const
  const ids = ledgers.map((ledger, n) => client.sendRequest({ ...POST_HEAD, headers: n === 0 ? long : [] }, { ledger }))
  for (const id of ids) client.sendData(id, new Uint8Array(20_000))
  client.end(ids[0] as number, [['checksum', '1']])
  client.end(ids[1] as number)
  const sent = parseFrames(concat(client.takeOutput()).subarray(24))
  expect(sent.filter(({ type }) => type === 9)).toHaveLength(1)
  expect(ledgers.map(({ bytesSent }) => bytesSent)).toEqual(ids.map((id) => octetsOf(sent, id, 0, 1, 9)))

  const head = headers(1, [...OK, ['x', 'y'.repeat(100)]])
  const block = head.subarray(9)
  const answer = [
    settings(),
    // A field block in two frames, padded content, an update that is no message, trailers.
    frame(1, 0, 1, block.subarray(0, 40)),
    frame(9, 4, 1, block.subarray(40)),
    frame(0, 8, 1, concat([Uint8Array.of(3), latin1('content'), new Uint8Array(3)])),
    frame(8, 0, 1, Uint8Array.of(0, 0, 0, 1)),
    headers(1, [['a', 'b']], true),
    headers(3, OK, true),
  ]
  for (const byte of concat(answer)) {
    client.receiveData(Uint8Array.of(byte), 0)
    drain(client)
  }
  const came = parseFrames(concat(answer))
  expect(ledgers.map(({ bytesReceived }) => bytesReceived)).toEqual(ids.map((id) => octetsOf(came, id, 0, 1, 9)))
})
