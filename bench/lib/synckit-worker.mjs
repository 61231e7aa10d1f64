// The usual way to block on an asynchronous client: synckit, with undici in its worker.
import { runAsWorker } from 'synckit'
import { request } from 'undici'

runAsWorker(async (url) => {
  const { body } = await request(url)
  return (await body.arrayBuffer()).byteLength
})
