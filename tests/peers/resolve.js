// Asks one DNS server with c-ares: node resolve.js ADDRESS NAME/TYPE …; a line of JSON for each question.
const { Resolver } = require('dns').promises;

const [address, ...questions] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 20000, tries: 1 });
resolver.setServers([address]);

(async () => {
  for (const question of questions) {
    const [name, type] = question.split('/');
    const answer = await resolver.resolve(name, type).catch((error) => error.code);
    console.log(JSON.stringify([question, answer]));
  }
})();
