import { createRequire, registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** For commands that load the client by themselves: lets a process find it in kafka/node_modules. */
const name = '@confluentinc/kafka-javascript'
const { resolve } = createRequire(join(import.meta.dirname, '../../../kafka/package.json'))
const url = pathToFileURL(resolve(name)).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === name ? { url, shortCircuit: true } : next(specifier, context),
})
